// node-postgres through the gate. usage: drive.js PORT MODE; a line for each part, code 1 if one fails.
"use strict";
const assert = require("node:assert");
const { once } = require("node:events");
const { pipeline } = require("node:stream/promises");
const { Readable, Writable } = require("node:stream");
const { Client, Pool } = require("pg");
const copy = require("pg-copy-streams");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");

const [port, mode] = process.argv.slice(2);
const where = { host: "127.0.0.1", port: Number(port), user: "app", database: "app" };

async function connected(work, options = {}) {
	const client = new Client({ ...where, ...options });
	await client.connect();
	try {
		return await work(client);
	} finally {
		await client.end();
	}
}

const one = async (client, text, values) => Object.values((await client.query(text, values)).rows[0])[0];
const code = (sqlstate) => (error) => error.code === sqlstate || assert.fail(error);

const parts = {
	async transactions() {
		await connected((a) => connected(async (b) => {
			await a.query("begin");
			await a.query("insert into items values (1, 'lost')");
			assert.equal(await one(b, "select count(*)::int from items"), 0);
			await a.query("rollback");
			await a.query("begin isolation level serializable");
			await a.query("insert into items values ($1, $2)", [2, "kept"]);
			await a.query("savepoint one");
			await assert.rejects(a.query("insert into items values ($1, $2)", [2, "again"]), code("23505"));
			await assert.rejects(a.query("select 1"), code("25P02"));
			await a.query("rollback to savepoint one");
			await a.query("commit");
			assert.equal(await one(b, "select s from items"), "kept");
		}));
	},

	// Every client has a statement of this name, each with a text of its own.
	async "named statements"() {
		await Promise.all(Array.from({ length: 12 }, (_, number) => connected(async (client) => {
			for (let turn = 0; turn < 20; turn++) {
				const query = { name: "same", text: `select $1::int + ${number} as n`, values: [turn] };
				assert.equal((await client.query(query)).rows[0].n, turn + number);
				const other = { name: `other ${turn % 3}`, text: `select $1::text || '${number}/${turn % 3}' as s`, values: ["x"] };
				assert.equal((await client.query(other)).rows[0].s, `x${number}/${turn % 3}`);
			}
		})));
	},

	async "errors in the middle"() {
		await connected(async (client) => {
			for (let turn = 0; turn < 5; turn++) {
				const answers = await Promise.allSettled([
					client.query({ name: "divide", text: "select 12 / $1::int as n", values: [3] }),
					client.query({ name: "divide", text: "select 12 / $1::int as n", values: [0] }),
					client.query({ name: "wrong", text: "select * from nowhere where i = $1", values: [1] }),
					client.query("select 1; select 1/0; select 2"),
					client.query({ name: "divide", text: "select 12 / $1::int as n", values: [4] }),
				]);
				assert.deepEqual(answers.map((a) => a.reason?.code ?? a.value.rows[0].n), [4, "22012", "42P01", "22012", 3]);
			}
			const error = await client.query("insert into items values (1, 'a'), (1, 'b')").catch((e) => e);
			assert.equal(error.constraint, "items_pkey");
			assert.ok(error.detail && error.schema === "public" && error.table === "items" && error.routine);
		});
	},

	async "queries asked all at once"() {
		await connected(async (client) => {
			const answers = await Promise.all(Array.from({ length: 500 }, (_, n) =>
				n % 2 ? client.query("select $1::int as n", [n]) : client.query(`select ${n} as n`)));
			answers.forEach((answer, n) => assert.equal(answer.rows[0].n, n));
		});
	},

	// Queries on the wire before the answers to those before them, each with a Sync of its own.
	async pipelining() {
		await connected(async (client) => {
			for (let turn = 0; turn < 5; turn++) {
				const asked = Array.from({ length: 200 }, (_, n) => client.query(n % 3
					? { name: `divide ${n % 7}`, text: `select 100 / $1::int + ${n % 7} as n`, values: [n % 50] }
					: `select ${n} as n`));
				const answers = await Promise.allSettled(asked);
				answers.forEach(({ reason, value }, n) => {
					if (n % 3 && n % 50 === 0) assert.equal(reason.code, "22012");
					else assert.equal(value.rows[0].n, n % 3 ? Math.floor(100 / (n % 50)) + n % 7 : n);
				});
			}
		}, { pipeline: true });
	},

	async "sixty-four clients on few servers"() {
		const pool = new Pool({ ...where, max: 64 });
		await Promise.all(Array.from({ length: 64 }, async (_, number) => {
			for (let turn = 0; turn < 15; turn++) {
				const token = `${number}.${turn}.${Math.random()}`;
				if (turn % 3 === 0) {
					assert.equal(await one(pool, "select $1::text", [token]), token);
				} else if (turn % 3 === 1) {
					const error = await pool.query(`do $$ begin raise '${token}'; end $$`).catch((e) => e);
					assert.equal(error.message, token);
				} else {
					const client = await pool.connect();
					await client.query("begin");
					const pid = await one(client, "select pg_backend_pid()");
					assert.equal(await one(client, { name: "echo", text: "select $1::text", values: [token] }), token);
					assert.equal(await one(client, "select pg_backend_pid()"), pid);
					await client.query("commit");
					client.release();
				}
			}
		}));
		await pool.end();
	},

	async "copy in and out"() {
		await connected(async (client) => {
			const lines = Array.from({ length: 20000 }, (_, n) => `${n}\t${"é".repeat(n % 100)}\n`);
			await pipeline(Readable.from(lines), client.query(copy.from("copy items from stdin")));
			const out = [];
			await pipeline(client.query(copy.to("copy (select * from items order by i) to stdout")),
				new Writable({ write: (chunk, _, done) => { out.push(chunk); done(); } }));
			assert.equal(Buffer.concat(out).toString(), lines.join(""));
			await assert.rejects(pipeline(Readable.from(["0\tagain\n"]), client.query(copy.from("copy items from stdin"))),
				code("23505"));
			assert.equal(await one(client, "select count(*)::int from items"), 20000);
		});
	},

	async "cursors and streams"() {
		await connected(async (client) => {
			await client.query("begin");
			const cursor = client.query(new Cursor("select i from generate_series(1, $1::int) i", [1000]));
			let seen = 0;
			for (let rows = await cursor.read(90); rows.length; rows = await cursor.read(90)) {
				rows.forEach((row) => assert.equal(row.i, ++seen));
			}
			assert.equal(seen, 1000);
			await cursor.close();
			const half = client.query(new Cursor("select i from generate_series(1, 1000) i"));
			assert.equal((await half.read(10)).length, 10);
			await half.close();
			await client.query("commit");
			let sum = 0;
			for await (const row of client.query(new QueryStream("select i from generate_series(1, 5000) i", [], { batchSize: 77 }))) {
				sum += row.i;
			}
			assert.equal(sum, 12502500);
		});
	},

	async notices() {
		await connected(async (client) => {
			const seen = [];
			client.on("notice", (notice) => seen.push(`${notice.severity} ${notice.message}`));
			await client.query("do $$ begin raise notice 'one'; raise warning 'two'; end $$");
			assert.deepEqual(seen, ["NOTICE one", "WARNING two"]);
		});
	},

	async cancel() {
		await connected((a) => connected(async (b) => {
			const name = `slow ${Math.random()}`;
			const slow = assert.rejects(a.query(`select pg_sleep(600) /* ${name} */`), code("57014"));
			while (!(await one(b, "select count(*)::int from pg_stat_activity where query like $1 and state = 'active' "
				+ "and pid <> pg_backend_pid()", [`%${name}%`])));
			const killer = new Client(where);
			killer.cancel(a, a._activeQuery ?? a.activeQuery);
			await slow;
			assert.equal(await one(a, "select 1"), 1);
		}));
	},

	async types() {
		await connected(async (client) => {
			const values = [[true, "bool"], ["9007199254740993", "int8"], [1.5, "float8"], ["1.23456789012345678901", "numeric"],
				["é€😀'\\\"", "text"], [Buffer.from([0, 255, 92, 39]), "bytea"], [{ a: [1, "é"] }, "jsonb"], [[1, null, 3], "int4[]"],
				[["a,b", null, '"'], "text[]"], [new Date(1234567890123), "timestamptz"], [null, "text"]];
			for (const [value, kind] of values) {
				assert.deepEqual(await one(client, `select $1::${kind}`, [value]), value, kind);
			}
		});
	},

	async "big rows both ways"() {
		await connected(async (client) => {
			const big = Buffer.alloc(20_000_000, "standpipe");
			assert.ok(big.equals(await one(client, "select $1::bytea", [big])));
			const rows = (await client.query("select repeat('x', 100000) as s from generate_series(1, 200)")).rows;
			assert.equal(rows.reduce((sum, row) => sum + row.s.length, 0), 20_000_000);
		});
	},

	async "what a client sets at startup"() {
		const options = { application_name: "the app's", statement_timeout: 123456, options: "-c search_path=pg_catalog -c work_mem=77kB" };
		await Promise.all(Array.from({ length: 8 }, (_, n) => connected(async (client) => {
			for (let turn = 0; turn < 10; turn++) {
				const row = (await client.query("select current_setting('application_name') a, current_setting('statement_timeout') t, "
					+ "current_setting('search_path') p, current_setting('work_mem') w")).rows[0];
				assert.deepEqual(row, n % 2 ? { a: "the app's", t: "123456ms", p: "pg_catalog", w: "77kB" }
					: { a: "", t: "0", p: '"$user", public', w: "4MB" });
			}
		}, n % 2 ? options : {})));
	},
};

if (mode === "session") {
	parts["listen and notify"] = async () => {
		await connected((a) => connected(async (b) => {
			await a.query("listen news");
			const heard = once(a, "notification");
			await b.query("select pg_notify('news', 'hello')");
			assert.equal((await heard)[0].payload, "hello");
		}));
	};
}

(async () => {
	for (const [name, part] of Object.entries(parts)) {
		await connected((client) => client.query("truncate items"));
		try {
			await part();
			console.log(`ok ${name}`);
		} catch (error) {
			process.exitCode = 1;
			console.log(`not ok ${name}: ${error.stack}`);
		}
	}
	console.log("done");
})();
