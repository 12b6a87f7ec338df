// JDBC through the gate. usage: java Drive.java PORT MODE; a line for each part, code 1 if one fails.
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.PSQLException;

public class Drive {
	interface Part {
		void run() throws Exception;
	}

	static String port, mode;

	static Connection connect(String options) throws SQLException {
		return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + port + "/app?user=app" + options);
	}

	static Connection connect() throws SQLException {
		return connect("");
	}

	static void equal(Object got, Object expected) {
		if (!java.util.Objects.deepEquals(got, expected)) {
			throw new AssertionError("got " + got + " instead of " + expected);
		}
	}

	static String one(Connection c, String sql, Object... values) throws SQLException {
		try (PreparedStatement s = c.prepareStatement(sql)) {
			for (int i = 0; i < values.length; i++) {
				s.setObject(i + 1, values[i]);
			}
			try (ResultSet rows = s.executeQuery()) {
				rows.next();
				return rows.getString(1);
			}
		}
	}

	static void run(Connection c, String sql) throws SQLException {
		try (Statement s = c.createStatement()) {
			s.execute(sql);
		}
	}

	static void refused(String sqlstate, Part part) throws Exception {
		try {
			part.run();
		} catch (SQLException e) {
			equal(e.getSQLState(), sqlstate);
			return;
		}
		throw new AssertionError("no error, where " + sqlstate + " was expected");
	}

	static void inThreads(int count, java.util.function.IntFunction<Callable<Void>> work) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(count);
		List<Future<Void>> all = new ArrayList<>();
		for (int n = 0; n < count; n++) {
			all.add(pool.submit(work.apply(n)));
		}
		pool.shutdown();
		for (Future<Void> each : all) {
			each.get();
		}
	}

	static void transactions() throws Exception {
		try (Connection a = connect(); Connection b = connect()) {
			a.setAutoCommit(false);
			a.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
			run(a, "insert into items values (1, 'lost')");
			equal(one(b, "select count(*) from items"), "0");
			a.rollback();
			equal(one(a, "show transaction_isolation"), "serializable");
			run(a, "insert into items values (2, 'kept')");
			Savepoint point = a.setSavepoint();
			refused("23505", () -> run(a, "insert into items values (2, 'again')"));
			refused("25P02", () -> one(a, "select 1"));
			a.rollback(point);
			a.commit();
			equal(one(b, "select s from items"), "kept");
			a.setReadOnly(true);
			refused("25006", () -> run(a, "delete from items"));
			a.rollback();
			equal(one(b, "show transaction_isolation"), "read committed");
			run(b, "delete from items");
		}
		// A savepoint for each statement, which is set back if the statement fails.
		try (Connection a = connect("&autosave=always")) {
			a.setAutoCommit(false);
			run(a, "insert into items values (3, 'three')");
			refused("23505", () -> run(a, "insert into items values (3, 'again')"));
			run(a, "insert into items values (4, 'four')");
			a.commit();
			equal(one(a, "select count(*) from items"), "2");
			a.commit();
		}
	}

	static void preparedStatements(String options) throws Exception {
		inThreads(12, number -> () -> {
			try (Connection c = connect(options); PreparedStatement held = c.prepareStatement(
					"select ?::int + " + number)) {
				for (int turn = 0; turn < 30; turn++) {
					held.setInt(1, turn);
					try (ResultSet rows = held.executeQuery()) {
						rows.next();
						equal(rows.getInt(1), turn + number);
					}
					equal(one(c, "select ?::text || '" + number + "/" + turn % 4 + "'", "x"), "x" + number + "/" + turn % 4);
					if (turn % 10 == 5) {
						refused("22012", () -> one(c, "select 1 / ?::int", 0));
					}
				}
			}
			return null;
		});
	}

	// More statements than the driver keeps, so that it closes some.
	static void statementsComeAndGo() throws Exception {
		inThreads(4, number -> () -> {
			try (Connection c = connect("&prepareThreshold=1&preparedStatementCacheQueries=8")) {
				for (int turn = 0; turn < 200; turn++) {
					equal(one(c, "select ?::int + " + (turn % 23 * 10 + number), turn),
						String.valueOf(turn + turn % 23 * 10 + number));
				}
			}
			return null;
		});
	}

	static void batches(String options) throws Exception {
		try (Connection a = connect(options); PreparedStatement s = a.prepareStatement("insert into items values (?, ?)")) {
			for (int turn = 0; turn < 3; turn++) {
				for (int i = 0; i < 2000; i++) {
					s.setInt(1, turn * 10_000 + i);
					s.setString(2, "row " + i);
					s.addBatch();
				}
				equal(s.executeBatch().length, 2000);
			}
			a.setAutoCommit(false);
			for (int i = 50_000; i > 19_990; i -= 7) {
				s.setInt(1, i);
				s.setString(2, "again");
				s.addBatch();
			}
			s.setInt(1, 20_001);
			s.addBatch();
			try {
				s.executeBatch();
				throw new AssertionError("a batch with a duplicate went through");
			} catch (BatchUpdateException e) {
				equal(e.getSQLState(), "23505");
			}
			a.rollback();
			equal(one(a, "select count(*) from items"), "6000");
			a.commit();
		}
	}

	static void cursors() throws Exception {
		try (Connection a = connect(); Connection b = connect()) {
			a.setAutoCommit(false);
			try (Statement s = a.createStatement(); Statement other = a.createStatement()) {
				s.setFetchSize(50);
				other.setFetchSize(3);
				try (ResultSet rows = s.executeQuery("select i, repeat('x', 1000) from generate_series(1, 2000) i");
						ResultSet others = other.executeQuery("select generate_series(1, 100)")) {
					for (int i = 1; rows.next(); i++) {
						equal(rows.getInt(1), i);
						if (i % 100 == 0) {
							equal(one(b, "select 'b'"), "b");
							others.next();
							equal(others.getInt(1), i / 100);
						}
					}
				}
			}
			a.commit();
		}
	}

	static void copies() throws Exception {
		try (Connection a = connect(); Connection b = connect()) {
			StringBuilder lines = new StringBuilder();
			for (int i = 0; i < 20_000; i++) {
				lines.append(i).append('\t').append("é".repeat(i % 90)).append('\n');
			}
			var copy = a.unwrap(PGConnection.class).getCopyAPI();
			equal(copy.copyIn("copy items from stdin", new StringReader(lines.toString())), 20_000L);
			StringWriter out = new StringWriter();
			copy.copyOut("copy (select * from items order by i) to stdout", out);
			equal(out.toString(), lines.toString());
			refused("23505", () -> copy.copyIn("copy items from stdin", new StringReader("1\tagain\n")));
			var left = copy.copyIn("copy items from stdin");
			left.writeToCopy("1000000\tlost\n".getBytes(), 0, 13);
			left.cancelCopy();
			equal(one(b, "select count(*) from items"), "20000");
		}
	}

	static void cancel() throws Exception {
		try (Connection a = connect(); Connection b = connect(); Statement s = a.createStatement()) {
			String name = "slow " + UUID.randomUUID();
			Thread watcher = new Thread(() -> {
				try {
					while (!one(b, "select count(*) from pg_stat_activity where state = 'active' and query like ?"
							+ " and pid <> pg_backend_pid()", "%" + name + "%").equals("1")) {
						Thread.onSpinWait();
					}
					s.cancel();
				} catch (SQLException e) {
					throw new AssertionError(e);
				}
			});
			watcher.start();
			refused("57014", () -> s.execute("select pg_sleep(600) /* " + name + " */"));
			watcher.join();
			equal(one(a, "select 1"), "1");
			s.setQueryTimeout(1);
			refused("57014", () -> s.execute("select pg_sleep(600)"));
			equal(one(a, "select 2"), "2");
		}
	}

	static void notices() throws Exception {
		try (Connection a = connect(); Statement s = a.createStatement()) {
			s.execute("do $$ begin raise notice 'one'; raise warning 'two'; end $$");
			equal(s.getWarnings().getMessage(), "one");
			equal(s.getWarnings().getNextWarning().getMessage(), "two");
			try {
				run(a, "insert into items values (1, 'a'), (1, 'b')");
			} catch (PSQLException e) {
				equal(e.getServerErrorMessage().getConstraint(), "items_pkey");
				equal(e.getServerErrorMessage().getTable(), "items");
			}
		}
	}

	static void largeObjects() throws Exception {
		byte[] data = new byte[2_000_000];
		new Random(1).nextBytes(data);
		try (Connection a = connect(); Connection b = connect()) {
			a.setAutoCommit(false);
			b.setAutoCommit(false);
			LargeObjectManager manager = a.unwrap(PGConnection.class).getLargeObjectAPI();
			long oid = manager.createLO();
			LargeObject big = manager.open(oid);
			big.write(data);
			big.close();
			a.commit();
			LargeObject again = b.unwrap(PGConnection.class).getLargeObjectAPI().open(oid, LargeObjectManager.READ);
			equal(again.read(data.length + 1), data);
			again.close();
			b.commit();
			manager.delete(oid);
			a.commit();
			refused("42704", () -> b.unwrap(PGConnection.class).getLargeObjectAPI().open(oid));
			b.rollback();
		}
	}

	static void types() throws Exception {
		try (Connection a = connect("&prepareThreshold=1")) {
			for (int turn = 0; turn < 3; turn++) {
				try (PreparedStatement s = a.prepareStatement(
						"select ?::int8, ?::numeric, ?::text, ?::bytea, ?::uuid, ?::timestamptz, ?::int4[], ?::bool, ?::float8")) {
					UUID id = new UUID(7, 7);
					s.setLong(1, 1L << 60);
					s.setBigDecimal(2, new BigDecimal("1.2345678901234567890"));
					s.setString(3, "é€😀'\\");
					s.setBytes(4, new byte[] {0, -1, 92});
					s.setObject(5, id);
					s.setObject(6, OffsetDateTime.parse("2001-02-03T04:05:06Z"));
					s.setArray(7, a.createArrayOf("int4", new Integer[] {1, null, 3}));
					s.setBoolean(8, true);
					s.setDouble(9, 1.5);
					try (ResultSet row = s.executeQuery()) {
						row.next();
						equal(row.getLong(1), 1L << 60);
						equal(row.getBigDecimal(2), new BigDecimal("1.2345678901234567890"));
						equal(row.getString(3), "é€😀'\\");
						equal(row.getBytes(4), new byte[] {0, -1, 92});
						equal(row.getObject(5), id);
						equal(row.getObject(6, OffsetDateTime.class).toInstant().toString(), "2001-02-03T04:05:06Z");
						equal(row.getArray(7).getArray(), new Integer[] {1, null, 3});
						equal(row.getBoolean(8), true);
						equal(row.getDouble(9), 1.5);
					}
				}
			}
			try (ResultSet columns = a.getMetaData().getColumns(null, "public", "items", "%")) {
				columns.next();
				equal(columns.getString("COLUMN_NAME"), "i");
			}
		}
	}

	static void bigRows() throws Exception {
		try (Connection a = connect()) {
			byte[] data = new byte[20_000_000];
			Arrays.fill(data, (byte) 7);
			try (PreparedStatement s = a.prepareStatement("select ?::bytea")) {
				s.setBytes(1, data);
				try (ResultSet row = s.executeQuery()) {
					row.next();
					equal(row.getBytes(1), data);
				}
			}
		}
	}

	static void settings() throws Exception {
		inThreads(8, number -> () -> {
			// The driver itself sets TimeZone, which goes before what options say.
			try (Connection c = connect("&ApplicationName=n" + number + "&options=-c%20TimeZone=Asia/Tokyo"
					+ "%20-c%20work_mem=" + (100 + number) + "kB")) {
				for (int turn = 0; turn < 20; turn++) {
					equal(one(c, "show application_name"), "n" + number);
					equal(one(c, "show work_mem"), (100 + number) + "kB");
					equal(one(c, "show timezone"), java.util.TimeZone.getDefault().getID());
				}
				c.setClientInfo("ApplicationName", "again " + number);
				equal(one(c, "show application_name"), "again " + number);
				if (mode.equals("session")) {
					c.setSchema("pg_catalog");
					equal(c.getSchema(), "pg_catalog");
					equal(one(c, "show search_path"), "pg_catalog");
				}
			}
			return null;
		});
	}

	static void manyClients() throws Exception {
		inThreads(64, number -> () -> {
			Random dice = new Random(number);
			try (Connection c = connect("&prepareThreshold=2")) {
				for (int turn = 0; turn < 20; turn++) {
					String token = number + "." + turn + "." + dice.nextLong();
					switch (dice.nextInt(3)) {
					case 0:
						equal(one(c, "select ?::text", token), token);
						break;
					case 1:
						try {
							run(c, "do $$ begin raise '" + token + "'; end $$");
						} catch (PSQLException e) {
							equal(e.getServerErrorMessage().getMessage(), token);
						}
						break;
					default:
						c.setAutoCommit(false);
						String pid = one(c, "select pg_backend_pid()");
						equal(one(c, "select ?::text", token), token);
						equal(one(c, "select pg_backend_pid()"), pid);
						c.commit();
						c.setAutoCommit(true);
					}
				}
			}
			return null;
		});
	}

	static void listen() throws Exception {
		try (Connection a = connect(); Connection b = connect()) {
			run(a, "listen news");
			run(b, "select pg_notify('news', 'hello')");
			PGNotification[] heard = a.unwrap(PGConnection.class).getNotifications(60_000);
			equal(heard[0].getParameter(), "hello");
		}
	}

	public static void main(String[] arguments) throws Exception {
		port = arguments[0];
		mode = arguments[1];
		Map<String, Part> parts = new LinkedHashMap<>();
		parts.put("transactions", Drive::transactions);
		for (String queries : List.of("extended", "simple", "extendedForPrepared", "extendedCacheEverything")) {
			parts.put("prepared statements, " + queries, () -> preparedStatements("&preferQueryMode=" + queries));
			parts.put("batches, " + queries, () -> batches("&preferQueryMode=" + queries));
		}
		parts.put("prepared at once", () -> preparedStatements("&prepareThreshold=-1"));
		parts.put("batches rewritten", () -> batches("&reWriteBatchedInserts=true"));
		parts.put("statements come and go", Drive::statementsComeAndGo);
		parts.put("cursors", Drive::cursors);
		parts.put("copies", Drive::copies);
		parts.put("cancel", Drive::cancel);
		parts.put("notices", Drive::notices);
		parts.put("large objects", Drive::largeObjects);
		parts.put("types", Drive::types);
		parts.put("big rows", Drive::bigRows);
		parts.put("settings", Drive::settings);
		parts.put("sixty-four clients", Drive::manyClients);
		if (mode.equals("session")) {
			parts.put("listen and notify", Drive::listen);
		}
		boolean failed = false;
		for (Map.Entry<String, Part> part : parts.entrySet()) {
			try (Connection c = connect()) {
				run(c, "truncate items");
			}
			try {
				part.getValue().run();
				System.out.println("ok " + part.getKey());
			} catch (Throwable e) {
				failed = true;
				System.out.println("not ok " + part.getKey() + ": " + e);
				e.printStackTrace(System.out);
			}
		}
		System.out.println("done");
		System.exit(failed ? 1 : 0);
	}
}
