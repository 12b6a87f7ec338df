import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

/** The console by JDBC, whose statements go by the extended protocol; java Console.java PORT. */
public class Console {
    public static void main(String[] arguments) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", "boss");
        properties.setProperty("ApplicationName", "exporter");
        String url = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/pgbouncer";
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SHOW POOLS")) {
                while (rows.next())
                    if (rows.getString("database").equals("app"))
                        System.out.println("pool " + rows.getInt("maxwait"));
            }
            // Often enough for a statement with a name, whose results come in binary.
            try (PreparedStatement statement = connection.prepareStatement("SHOW STATS")) {
                for (int i = 0; i < 10; i++)
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        System.out.println("transactions " + rows.getLong("total_xact_count"));
                    }
            }
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(2);
                int count = 0;
                try (ResultSet rows = statement.executeQuery("SHOW LISTS")) {
                    while (rows.next())
                        count++;
                }
                System.out.println("lists " + count);
                try {
                    statement.execute("SHOW nothing");
                } catch (SQLException e) {
                    System.out.println("state " + e.getSQLState());
                }
                connection.rollback();
                statement.execute("PAUSE app");
                statement.execute("RESUME app");
            }
            connection.commit();
            System.out.println("valid " + connection.isValid(5));
        }
        System.out.println("done");
    }
}
