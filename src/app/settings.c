/* The keys. */
#include "app/settings.h"

#define AT(member)     .offset = offsetof(struct config, member)
#define GATE(member)   AT(gate.member)
#define ENGINE(member) AT(gate.engine.member)
#define BASE(kind)     ENGINE(deadlines.base_ns[DEADLINE_##kind])
#define PHASE(phase)   ENGINE(startup.timeout_ns[PHASE_##phase])
#define LIMIT(limit)   GATE(limits_ns[LIMIT_##limit])
#define RANGE(a, b)    .min = (a), .max = (b)

#define DAY_S    86400
#define PATH_LEN 4095
#define PORT_MAX 65535

static const struct setting_choice environments[] = {
	{"development", ENVIRONMENT_DEVELOPMENT},
	{"test", ENVIRONMENT_TEST},
	{"staging", ENVIRONMENT_STAGING},
	{"production", ENVIRONMENT_PRODUCTION},
	{NULL, 0},
};

static const struct setting_choice door_modes[] = {
	{"off", DOOR_OFF},
	{"relay", DOOR_RELAY},
	{"inherit", DOOR_INHERIT},
	{NULL, 0},
};

static const struct setting_choice tls_modes[] = {
	{"off", TLS_OFF},
	{"allow", TLS_ALLOW},
	{"require", TLS_REQUIRE},
	{NULL, 0},
};

static const struct setting_choice auth_methods[] = {
	{"trust", AUTH_TRUST},
	{"scram-sha-256", AUTH_SCRAM},
	{"cert", AUTH_CERT},
	{"reject", AUTH_REJECT},
	{NULL, 0},
};

static const struct setting_choice backends[] = {
	{"auto", REACTOR_AUTO},
	{"epoll", REACTOR_EPOLL},
	{"io_uring", REACTOR_URING},
	{NULL, 0},
};

const struct setting_choice config_pool_modes[] = {
	{"transaction", POOL_TRANSACTION},
	{"session", POOL_SESSION},
	{"statement", POOL_STATEMENT},
	{NULL, 0},
};

static const struct setting_choice sql_prepares[] = {
	{"pin", SQL_PREPARE_PIN},
	{"error", SQL_PREPARE_ERROR},
	{NULL, 0},
};

static const struct setting_choice queue_orders[] = {
	{"fifo", QUEUE_FIFO},
	{"adaptive", QUEUE_ADAPTIVE},
	{NULL, 0},
};

static const struct setting_choice connects_rules[] = {
	{"fixed", CONNECTS_FIXED},
	{"aimd", CONNECTS_AIMD},
	{"vegas", CONNECTS_VEGAS},
	{"gradient", CONNECTS_GRADIENT},
	{NULL, 0},
};

static const struct setting_choice log_formats[] = {
	{"auto", LOG_FORMAT_AUTO},
	{"json", LOG_FORMAT_JSON},
	{"text", LOG_FORMAT_TEXT},
	{NULL, 0},
};

static const struct setting_choice log_levels[] = {
	{"debug", LOG_LEVEL_DEBUG},
	{"info", LOG_LEVEL_INFO},
	{"warning", LOG_LEVEL_WARNING},
	{"error", LOG_LEVEL_ERROR},
	{NULL, 0},
};

/* clang-format off */
static const struct setting rows[] = {
{"environment", SETTING_CHOICE, AT(environment), .choices = environments, .preset = "development",
	.variables = "STANDPIPE_ENVIRONMENT ENVIRONMENT", .help = "which table of defaults applies"},
{"instance", SETTING_TEXT, GATE(instance), RANGE(0, 128),
	.variables = "STANDPIPE_INSTANCE", .help = "this instance's name in logs and status"},
{"error_file", SETTING_TEXT, GATE(error_file), RANGE(0, PATH_LEN), .preset = "", .empty = "nowhere",
	.variables = "STANDPIPE_ERROR_FILE", .help = "where the error context is written when a start fails"},
{"termination_log", SETTING_TEXT, GATE(termination_log), RANGE(0, PATH_LEN), .empty = "nowhere",
	.variables = "STANDPIPE_TERMINATION_LOG", .help = "Kubernetes' termination log, for the error context"},

{"database.url", SETTING_TEXT, AT(database_url), RANGE(0, URL_MAX), .preset = "",
	.empty = "PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE", .secret = true,
	.variables = "STANDPIPE_DATABASE_URL DATABASE_URL", .help = "the database's URL, or file:PATH of a file that holds it"},
{"database.connection_limit", SETTING_INT, ENGINE(budget.max_connections), RANGE(1, 1000000), .preset = "100",
	.variables = "STANDPIPE_DATABASE_CONNECTION_LIMIT", .help = "the server's max_connections, until it tells its own"},
{"database.superuser_reserved", SETTING_INT, ENGINE(budget.superuser_reserved), RANGE(0, 10000), .preset = "3",
	.variables = "STANDPIPE_DATABASE_SUPERUSER_RESERVED", .help = "its superuser_reserved_connections, until it tells its own"},
{"database.reserved", SETTING_INT, ENGINE(budget.reserved), RANGE(0, 10000), .preset = "0",
	.variables = "STANDPIPE_DATABASE_RESERVED", .help = "its reserved_connections (PostgreSQL 16), until it tells its own"},
{"database.agents", SETTING_INT, ENGINE(budget.agents), RANGE(0, 10000),
	.variables = "STANDPIPE_DATABASE_AGENTS", .help = "connections that the database's own agents hold"},
{"database.critical", SETTING_BOOL, ENGINE(startup.critical[PHASE_DATABASE]), .preset = "true",
	.restart = true, .variables = "STANDPIPE_DATABASE_CRITICAL", .help = "a start without the database fails; else it is health only, and trying on"},
{"database.schema_check", SETTING_TEXT, GATE(schema_check), RANGE(0, 65536), .preset = "", .empty = "no check",
	.restart = true, .variables = "STANDPIPE_DATABASE_SCHEMA_CHECK", .help = "SQL that must give a row before the service starts"},
{"database.migrate", SETTING_TEXT, GATE(migrate), RANGE(0, 65536), .preset = "", .empty = "none",
	.restart = true, .variables = "STANDPIPE_DATABASE_MIGRATE", .help = "command that migrates the schema before the service starts"},
{"database.password_command", SETTING_TEXT, GATE(password_command), RANGE(0, 4096), .preset = "",
	.empty = "none: the URL's password", .variables = "STANDPIPE_DATABASE_PASSWORD_COMMAND DATABASE_PASSWORD_COMMAND",
	.help = "command whose first line is the password for logins to the database: a cloud's access token"},
{"database.password_life", SETTING_DURATION, GATE(password_life_ns), RANGE(0.1, 30 * DAY_S), .preset = "600s",
	.variables = "STANDPIPE_DATABASE_PASSWORD_LIFE", .help = "how long that is good; it is fetched again before"},
{"database.keepalive", SETTING_DURATION, GATE(database_care.idle_ns), RANGE(0, 7200), .preset = "30s",
	.variables = "STANDPIPE_DATABASE_KEEPALIVE", .help = "idle time before TCP keepalives on server connections; 0: none"},
{"database.keepalive_interval", SETTING_DURATION, GATE(database_care.interval_ns), RANGE(1, 7200), .preset = "10s",
	.variables = "STANDPIPE_DATABASE_KEEPALIVE_INTERVAL", .help = "time between them"},
{"database.keepalive_count", SETTING_INT, GATE(database_care.count), RANGE(1, 127), .preset = "6",
	.variables = "STANDPIPE_DATABASE_KEEPALIVE_COUNT", .help = "how many without an answer mean that the server is gone"},
{"database.user_timeout", SETTING_DURATION, GATE(database_care.user_timeout_ns), RANGE(0, 86400), .preset = "0",
	.variables = "STANDPIPE_DATABASE_USER_TIMEOUT", .help = "how long what was sent to a server may stay unacknowledged; 0: the system's"},

{"timeouts.initialization", SETTING_DURATION, BASE(INITIALIZATION), RANGE(0.1, 3600),
	.variables = "STANDPIPE_TIMEOUTS_INITIALIZATION DB_INITIALIZATION_TIMEOUT", .help = "the database phase"},
{"timeouts.table_setup", SETTING_DURATION, BASE(TABLE_SETUP), RANGE(0.1, 3600),
	.variables = "STANDPIPE_TIMEOUTS_TABLE_SETUP DB_TABLE_SETUP_TIMEOUT", .help = "schema check and migration"},
{"timeouts.connection", SETTING_DURATION, BASE(CONNECTION), RANGE(0.1, 3600),
	.variables = "STANDPIPE_TIMEOUTS_CONNECTION DB_CONNECTION_TIMEOUT", .help = "one attempt to connect"},
{"timeouts.pool", SETTING_DURATION, BASE(POOL), RANGE(0.1, 3600),
	.variables = "STANDPIPE_TIMEOUTS_POOL DB_POOL_TIMEOUT", .help = "a client's wait for a connection"},
{"timeouts.health_check", SETTING_DURATION, BASE(HEALTH_CHECK), RANGE(0.1, 3600),
	.variables = "STANDPIPE_TIMEOUTS_HEALTH_CHECK DB_HEALTH_CHECK_TIMEOUT", .help = "one check of something outside"},
{"timeouts.cap", SETTING_DURATION, ENGINE(deadlines.cap_ns), RANGE(0, 3600), .preset = "240s",
	.variables = "STANDPIPE_TIMEOUTS_CAP", .help = "the longest deadline: what the platform's startup probe allows; 0: none"},
{"timeouts.init", SETTING_DURATION, PHASE(INIT), RANGE(0.1, 3600), .preset = "10s",
	.restart = true, .variables = "STANDPIPE_TIMEOUTS_INIT", .help = "the init phase"},
{"timeouts.dependencies", SETTING_DURATION, PHASE(DEPENDENCIES), RANGE(0.1, 3600), .preset = "60s",
	.restart = true, .variables = "STANDPIPE_TIMEOUTS_DEPENDENCIES", .help = "the dependencies phase"},
{"timeouts.cache", SETTING_DURATION, PHASE(CACHE), RANGE(0.1, 3600),
	.restart = true, .variables = "STANDPIPE_TIMEOUTS_CACHE", .help = "the cache phase"},
{"timeouts.services", SETTING_DURATION, PHASE(SERVICES), RANGE(0.1, 3600), .preset = "120s",
	.restart = true, .variables = "STANDPIPE_TIMEOUTS_SERVICES", .help = "the services phase: until the command is ready"},
{"timeouts.websocket", SETTING_DURATION, PHASE(WEBSOCKET), RANGE(0.1, 3600), .preset = "10s",
	.restart = true, .variables = "STANDPIPE_TIMEOUTS_WEBSOCKET", .help = "the websocket phase"},
{"timeouts.finalize", SETTING_DURATION, PHASE(FINALIZE), RANGE(0.1, 3600), .preset = "30s",
	.restart = true, .variables = "STANDPIPE_TIMEOUTS_FINALIZE", .help = "the finalize phase"},
{"timeouts.login", SETTING_DURATION, LIMIT(LOGIN), RANGE(0, DAY_S), .preset = "60s",
	.variables = "STANDPIPE_TIMEOUTS_LOGIN", .help = "a client's time to say who it is; 0: none"},
{"timeouts.query", SETTING_DURATION, LIMIT(QUERY), RANGE(0, 30 * DAY_S), .preset = "0",
	.variables = "STANDPIPE_TIMEOUTS_QUERY", .help = "a client's query, which is cancelled then; 0: none"},
{"timeouts.transaction", SETTING_DURATION, LIMIT(TRANSACTION), RANGE(0, 30 * DAY_S), .preset = "0",
	.variables = "STANDPIPE_TIMEOUTS_TRANSACTION", .help = "a client's transaction, from its first message; 0: none"},
{"timeouts.idle_in_transaction", SETTING_DURATION, LIMIT(IDLE_IN_TRANSACTION), RANGE(0, 30 * DAY_S), .preset = "0",
	.variables = "STANDPIPE_TIMEOUTS_IDLE_IN_TRANSACTION", .help = "a client's pause within a transaction; 0: none"},
{"timeouts.client_idle", SETTING_DURATION, LIMIT(CLIENT_IDLE), RANGE(0, 30 * DAY_S), .preset = "0",
	.variables = "STANDPIPE_TIMEOUTS_CLIENT_IDLE", .help = "a client's pause outside of transactions; 0: none"},
{"timeouts.client_stall", SETTING_DURATION, LIMIT(CLIENT_STALL), RANGE(0, DAY_S / 2.0), .preset = "300s",
	.variables = "STANDPIPE_TIMEOUTS_CLIENT_STALL", .help = "a client that neither takes its answers nor ends its message; 0: none"},

{"pool.mode", SETTING_CHOICE, AT(pool_mode), .choices = config_pool_modes, .preset = "transaction",
	.variables = "STANDPIPE_POOL_MODE", .help = "for how long a client has its server: a transaction, its session, a statement"},
{"pool.size", SETTING_INT, ENGINE(budget.pool_size), RANGE(0, 10000),
	.variables = "STANDPIPE_POOL_SIZE DB_POOL_SIZE", .help = "server connections of this instance"},
{"pool.overflow", SETTING_INT, ENGINE(budget.pool_overflow), RANGE(0, 10000),
	.variables = "STANDPIPE_POOL_OVERFLOW DB_MAX_OVERFLOW", .help = "more of them under load"},
{"pool.recycle", SETTING_DURATION, ENGINE(server_life_ns), RANGE(0, 30 * DAY_S), .preset = "3600s",
	.variables = "STANDPIPE_POOL_RECYCLE", .help = "a server connection's life; 0: for ever"},
{"pool.pre_ping", SETTING_BOOL, AT(pre_ping), .preset = "true",
	.variables = "STANDPIPE_POOL_PRE_PING", .help = "check a server connection before use after idling"},
{"pool.ping_after", SETTING_DURATION, AT(ping_after_ns), RANGE(0, DAY_S), .preset = "30s",
	.variables = "STANDPIPE_POOL_PING_AFTER", .help = "how long it must have been idle for that"},
{"pool.keep", SETTING_INT, ENGINE(servers_kept), RANGE(0, 10000), .preset = "1",
	.variables = "STANDPIPE_POOL_KEEP", .help = "server connections kept warm when nobody waits"},
{"pool.idle", SETTING_DURATION, ENGINE(server_idle_ns), RANGE(0, 30 * DAY_S), .preset = "600s",
	.variables = "STANDPIPE_POOL_IDLE", .help = "idle ones above pool.keep are closed after this; 0: never"},
{"pool.grow_interval", SETTING_DURATION, ENGINE(growth.interval_ns), RANGE(0, 60), .preset = "200ms",
	.variables = "STANDPIPE_POOL_GROW_INTERVAL", .help = "a queue that is never empty for so long opens one more; 0: at once"},
{"pool.queue", SETTING_CHOICE, ENGINE(queue.order), .choices = queue_orders, .preset = "adaptive",
	.variables = "STANDPIPE_POOL_QUEUE", .help = "who is served first: who came first, or, while that can't be in time for all, who came last"},
{"pool.queue_target", SETTING_DURATION, ENGINE(queue.target_ns), RANGE(0, 3600), .preset = "5ms",
	.variables = "STANDPIPE_POOL_QUEUE_TARGET", .help = "a queue stands when nobody waits less; at least a tenth of timeouts.pool"},
{"pool.queue_reject", SETTING_BOOL, ENGINE(queue.rejects), .preset = "true",
	.variables = "STANDPIPE_POOL_QUEUE_REJECT", .help = "tell a client at once when its turn can't come in time"},
{"pool.clients", SETTING_INT, GATE(clients_max), RANGE(1, 65535), .preset = "10000",
	.restart = true, .variables = "STANDPIPE_POOL_CLIENTS", .help = "client connections at most"},

{"pool.prepared_statements", SETTING_INT, GATE(prepared_max), RANGE(1, 10000), .preset = "200",
	.variables = "STANDPIPE_POOL_PREPARED_STATEMENTS", .help = "prepared statements on each server connection, at most"},
{"pool.prepared_memory", SETTING_SIZE, GATE(prepared_bytes), RANGE(65536, 1e12), .preset = "128MiB",
	.restart = true, .variables = "STANDPIPE_POOL_PREPARED_MEMORY", .help = "texts of prepared statements of all clients together, at most"},
{"pool.sql_prepare", SETTING_CHOICE, GATE(sql_prepare), .choices = sql_prepares, .preset = "pin",
	.variables = "STANDPIPE_POOL_SQL_PREPARE", .help = "SQL's PREPARE in transaction mode: keep the client on its server, or refuse it"},
{"pool.pin", SETTING_BOOL, GATE(pin), .preset = "true",
	.variables = "STANDPIPE_POOL_PIN", .help = "a client keeps its server while something of its session lives there"},
{"databases", SETTING_NODE, AT(databases),
	.help = "NAME: {url, mode, pool_size, clients, keep, login}, more databases than the URL's; \"*\": all others"},
{"users", SETTING_NODE, AT(users),
	.help = "NAME: {mode, pool_size, clients, password}, what is special about a user; \"*\": all others"},

{"budget.margin", SETTING_REAL, ENGINE(budget.margin), RANGE(0.01, 1), .preset = "0.8",
	.variables = "STANDPIPE_BUDGET_MARGIN", .help = "share of the usable connections that the fleet may use"},
{"budget.buffer", SETTING_INT, ENGINE(budget.buffer), RANGE(0, 10000),
	.variables = "STANDPIPE_BUDGET_BUFFER", .help = "connections held back for the path's scaling"},
{"budget.instances", SETTING_INT, ENGINE(budget.instances), RANGE(1, 100000), .preset = "1",
	.variables = "STANDPIPE_BUDGET_INSTANCES", .help = "instances of the fleet at most, this one included"},

{"path.monitoring", SETTING_BOOL, ENGINE(path.monitoring),
	.variables = "STANDPIPE_PATH_MONITORING VPC_MONITORING_ENABLED", .help = "watch the path's state"},
{"path.capacity_aware", SETTING_BOOL, ENGINE(deadlines.capacity_aware),
	.variables = "STANDPIPE_PATH_CAPACITY_AWARE VPC_CAPACITY_AWARE_TIMEOUTS", .help = "lengthen deadlines by the path's state"},
{"path.threshold", SETTING_REAL, ENGINE(path.threshold), RANGE(0.05, 1),
	.variables = "STANDPIPE_PATH_THRESHOLD VPC_CAPACITY_THRESHOLD", .help = "pressure above this utilisation; also the fleet's share of the path"},
{"path.connections", SETTING_INT, ENGINE(path.limit), RANGE(1, 1000000),
	.variables = "STANDPIPE_PATH_CONNECTIONS", .help = "connections that the path carries"},
{"path.baseline", SETTING_RATE, ENGINE(path.baseline_bit_s), RANGE(0, 1e13),
	.variables = "STANDPIPE_PATH_BASELINE", .help = "throughput at which it is full; 0: not looked at"},
{"path.scaling_delay", SETTING_DURATION, ENGINE(path.scaling_ns), RANGE(0, 3600),
	.variables = "STANDPIPE_PATH_SCALING_DELAY", .help = "how long the path takes to scale out"},
{"path.scaling_buffer", SETTING_DURATION, ENGINE(deadlines.scaling_buffer_ns), RANGE(0, 3600),
	.variables = "STANDPIPE_PATH_SCALING_BUFFER", .help = "added to deadlines while it does"},
{"path.dial_patience", SETTING_DURATION, ENGINE(dial_patience_ns), RANGE(0, 60), .preset = "1.2s",
	.variables = "STANDPIPE_PATH_DIAL_PATIENCE", .help = "wait for a TCP handshake before dialling afresh; 0: no redial"},

{"retry.retries", SETTING_INT, ENGINE(retry.retries), RANGE(0, 1000),
	.variables = "STANDPIPE_RETRY_RETRIES", .help = "retries of a connect where no deadline governs"},
{"retry.base", SETTING_DURATION, ENGINE(retry.base_ns), RANGE(0.001, 3600),
	.variables = "STANDPIPE_RETRY_BASE", .help = "bound of the first delay (full jitter)"},
{"retry.cap", SETTING_DURATION, ENGINE(retry.cap_ns), RANGE(0.001, 3600),
	.variables = "STANDPIPE_RETRY_CAP", .help = "bound of every delay"},
{"retry.factor", SETTING_REAL, ENGINE(retry.factor), RANGE(1, 100),
	.variables = "STANDPIPE_RETRY_FACTOR", .help = "growth of the bound with each failure"},

{"breaker.enabled", SETTING_BOOL, ENGINE(breaker.enabled), .preset = "true",
	.variables = "STANDPIPE_BREAKER_ENABLED CIRCUIT_BREAKER_ENABLED", .help = "the circuit breaker over connects"},
{"breaker.threshold", SETTING_INT, ENGINE(breaker.failure_threshold), RANGE(0, 1000), .preset = "3",
	.variables = "STANDPIPE_BREAKER_THRESHOLD CIRCUIT_BREAKER_FAILURE_THRESHOLD", .help = "failures in a row that open it"},
{"breaker.timeout", SETTING_DURATION, ENGINE(breaker.open_ns), RANGE(0.1, 3600), .preset = "60s",
	.variables = "STANDPIPE_BREAKER_TIMEOUT CIRCUIT_BREAKER_TIMEOUT", .help = "how long it stays open"},
{"breaker.jitter", SETTING_REAL, ENGINE(breaker.jitter), RANGE(0, 0.9), .preset = "0.1",
	.variables = "STANDPIPE_BREAKER_JITTER", .help = "share by which that varies"},
{"breaker.probes", SETTING_INT, ENGINE(breaker.probes), RANGE(1, 100), .preset = "1",
	.variables = "STANDPIPE_BREAKER_PROBES", .help = "attempts at a time while half-open"},

{"connects.window", SETTING_INT, ENGINE(connects.window_max), RANGE(1, 1000), .preset = "4",
	.variables = "STANDPIPE_CONNECTS_WINDOW", .help = "connect attempts under way at once, at most"},
{"connects.rule", SETTING_CHOICE, ENGINE(connects.rule), .choices = connects_rules, .preset = "aimd",
	.variables = "STANDPIPE_CONNECTS_RULE", .help = "how many of these there may be now: all, or by what the path is found to carry"},

{"listen.host", SETTING_TEXT, GATE(listen_host), RANGE(1, 255), .preset = "127.0.0.1",
	.restart = true, .variables = "STANDPIPE_LISTEN_HOST", .help = "where the gate takes PostgreSQL clients"},
{"listen.port", SETTING_INT, GATE(listen_port), RANGE(0, PORT_MAX), .preset = "0",
	.restart = true, .variables = "STANDPIPE_LISTEN_PORT", .help = "its port; 0: any free one"},
{"listen.socket_dir", SETTING_TEXT, GATE(socket_dir), RANGE(0, 90), .preset = "/tmp", .empty = "no Unix socket",
	.restart = true, .variables = "STANDPIPE_LISTEN_SOCKET_DIR", .help = "directory of its Unix socket"},
{"tls.mode", SETTING_CHOICE, GATE(auth.tls_mode), .choices = tls_modes,
	.variables = "STANDPIPE_TLS_MODE", .help = "TLS for PostgreSQL clients: none, on their wish, or a must for other machines"},
{"tls.cert", SETTING_TEXT, GATE(auth.tls.cert), RANGE(0, PATH_LEN), .preset = "", .empty = "no TLS",
	.variables = "STANDPIPE_TLS_CERT", .help = "file of the gate's certificate and of those between it and a known one, PEM"},
{"tls.key", SETTING_TEXT, GATE(auth.tls.key), RANGE(0, PATH_LEN), .preset = "", .empty = "in the certificate's file",
	.variables = "STANDPIPE_TLS_KEY", .help = "file of its key, PEM without a pass phrase"},
{"tls.client_ca", SETTING_TEXT, GATE(auth.tls.client_ca), RANGE(0, PATH_LEN), .preset = "", .empty = "they are not asked for any",
	.variables = "STANDPIPE_TLS_CLIENT_CA", .help = "file of the authorities that clients' certificates are signed by, PEM"},
{"auth.local", SETTING_CHOICE, GATE(auth.local), .choices = auth_methods, .preset = "trust",
	.variables = "STANDPIPE_AUTH_LOCAL", .help = "what clients on the Unix socket and on loopback must prove"},
{"auth.remote", SETTING_CHOICE, GATE(auth.remote), .choices = auth_methods, .preset = "scram-sha-256",
	.variables = "STANDPIPE_AUTH_REMOTE", .help = "what all other clients must prove"},
{"auth.file", SETTING_TEXT, GATE(auth.file), RANGE(0, PATH_LEN), .preset = "", .empty = "only the URL's own user",
	.variables = "STANDPIPE_AUTH_FILE", .help = "file of users and their SCRAM verifiers, as PgBouncer's userlist.txt"},
{"auth.query", SETTING_TEXT, GATE(auth.query), RANGE(0, 65536), .preset = "", .empty = "nobody is looked up",
	.variables = "STANDPIPE_AUTH_QUERY", .help = "SQL that gives the verifier of the user $1, of those who are not in the file"},
{"auth.cache", SETTING_DURATION, GATE(auth.cache_ns), RANGE(0, 3600), .preset = "10s",
	.variables = "STANDPIPE_AUTH_CACHE", .help = "how long its answers are kept; 0: not at all"},
{"listen.keepalive", SETTING_DURATION, GATE(listen_care.idle_ns), RANGE(0, 7200), .preset = "60s",
	.variables = "STANDPIPE_LISTEN_KEEPALIVE", .help = "idle time before TCP keepalives on client connections; 0: none"},
{"listen.keepalive_interval", SETTING_DURATION, GATE(listen_care.interval_ns), RANGE(1, 7200), .preset = "10s",
	.variables = "STANDPIPE_LISTEN_KEEPALIVE_INTERVAL", .help = "time between them"},
{"listen.keepalive_count", SETTING_INT, GATE(listen_care.count), RANGE(1, 127), .preset = "6",
	.variables = "STANDPIPE_LISTEN_KEEPALIVE_COUNT", .help = "how many without an answer mean that the client is gone"},
{"listen.user_timeout", SETTING_DURATION, GATE(listen_care.user_timeout_ns), RANGE(0, 86400), .preset = "0",
	.variables = "STANDPIPE_LISTEN_USER_TIMEOUT", .help = "how long what was sent to a client may stay unacknowledged; 0: the system's"},
{"admin.host", SETTING_TEXT, GATE(admin_host), RANGE(1, 255), .preset = "0.0.0.0",
	.restart = true, .variables = "STANDPIPE_ADMIN_HOST", .help = "where health, status and metrics are answered"},
{"admin.port", SETTING_INT, GATE(admin_port), RANGE(0, PORT_MAX), .preset = "9180",
	.restart = true, .variables = "STANDPIPE_ADMIN_PORT", .help = "its port; 0: any free one"},
{"admin.users", SETTING_TEXTS, AT(console_admins), RANGE(0, GATE_CHECKS_MAX), .preset = "",
	.variables = "STANDPIPE_ADMIN_USERS", .help = "who may do everything in the console"},
{"admin.stats_users", SETTING_TEXTS, AT(console_readers), RANGE(0, GATE_CHECKS_MAX), .preset = "",
	.variables = "STANDPIPE_ADMIN_STATS_USERS", .help = "who may look at everything there"},
{"door.host", SETTING_TEXT, GATE(door_host), RANGE(1, 255), .preset = "0.0.0.0",
	.restart = true, .variables = "STANDPIPE_DOOR_HOST", .help = "address of the service's own port"},
{"door.port", SETTING_INT, GATE(door_port), RANGE(0, PORT_MAX), .preset = "0",
	.restart = true, .variables = "STANDPIPE_DOOR_PORT PORT", .help = "the service's own port; 0: there is none"},
{"door.mode", SETTING_CHOICE, GATE(door_mode), .choices = door_modes,
	.restart = true, .variables = "STANDPIPE_DOOR_MODE", .help = "who answers there: nobody, the gate as a relay, or the gate, then the command"},
{"door.command_port", SETTING_INT, GATE(command_port), RANGE(0, PORT_MAX), .preset = "0",
	.restart = true, .variables = "STANDPIPE_DOOR_COMMAND_PORT", .help = "where the relay finds the command; 0: any free one, told in PORT"},

{"startup.required", SETTING_TEXTS, AT(required), RANGE(0, GATE_CHECKS_MAX), .preset = "",
	.restart = true, .variables = "STANDPIPE_STARTUP_REQUIRED", .help = "names of variables that must be set"},
{"startup.dependencies", SETTING_TEXTS, AT(dependencies), RANGE(0, GATE_CHECKS_MAX), .preset = "",
	.restart = true, .variables = "STANDPIPE_STARTUP_DEPENDENCIES", .help = "checks that must pass before the database is tried"},
{"startup.ready", SETTING_TEXT, GATE(ready), RANGE(0, 4096), .empty = "when it has started",
	.restart = true, .variables = "STANDPIPE_STARTUP_READY", .help = "check that tells when the command is ready, or notify (sd_notify)"},
{"startup.cache", SETTING_TEXT, GATE(cache), RANGE(0, 4096), .preset = "", .empty = "none", .secret = true,
	.restart = true, .variables = "STANDPIPE_STARTUP_CACHE REDIS_URL", .help = "the Redis to check"},
{"startup.websocket", SETTING_TEXT, GATE(websocket), RANGE(0, 4096), .preset = "", .empty = "none",
	.restart = true, .variables = "STANDPIPE_STARTUP_WEBSOCKET", .help = "the WebSocket to check"},
{"startup.check_interval", SETTING_DURATION, GATE(check_interval_ns), RANGE(0.01, 60), .preset = "250ms",
	.restart = true, .variables = "STANDPIPE_STARTUP_CHECK_INTERVAL", .help = "between two tries of a check within its phase"},
{"startup.critical.dependencies", SETTING_BOOL, ENGINE(startup.critical[PHASE_DEPENDENCIES]), .preset = "true",
	.restart = true, .variables = "STANDPIPE_STARTUP_CRITICAL_DEPENDENCIES", .help = "this phase must not fail"},
{"startup.critical.cache", SETTING_BOOL, ENGINE(startup.critical[PHASE_CACHE]), .preset = "false",
	.restart = true, .variables = "STANDPIPE_STARTUP_CRITICAL_CACHE", .help = "this phase must not fail"},
{"startup.critical.services", SETTING_BOOL, ENGINE(startup.critical[PHASE_SERVICES]), .preset = "true",
	.restart = true, .variables = "STANDPIPE_STARTUP_CRITICAL_SERVICES", .help = "this phase must not fail"},
{"startup.critical.websocket", SETTING_BOOL, ENGINE(startup.critical[PHASE_WEBSOCKET]), .preset = "false",
	.restart = true, .variables = "STANDPIPE_STARTUP_CRITICAL_WEBSOCKET", .help = "this phase must not fail"},
{"startup.critical.finalize", SETTING_BOOL, ENGINE(startup.critical[PHASE_FINALIZE]), .preset = "true",
	.restart = true, .variables = "STANDPIPE_STARTUP_CRITICAL_FINALIZE", .help = "this phase must not fail"},

{"command.grace", SETTING_DURATION, AT(grace_ns), RANGE(0, 3600), .preset = "8s",
	.restart = true, .variables = "STANDPIPE_COMMAND_GRACE", .help = "between SIGTERM and SIGKILL"},
{"shutdown.grace", SETTING_DURATION, GATE(grace_ns), RANGE(0, 3600), .preset = "1s",
	.variables = "STANDPIPE_SHUTDOWN_GRACE", .help = "after SIGTERM to serve: how long clients without a transaction may stay"},
{"shutdown.drain", SETTING_DURATION, GATE(drain_ns), RANGE(0, 3600), .preset = "8s",
	.variables = "STANDPIPE_SHUTDOWN_DRAIN", .help = "... and how long open transactions may take"},
{"shutdown.handover", SETTING_DURATION, GATE(handover_ns), RANGE(0, 30 * DAY_S), .preset = "1h",
	.variables = "STANDPIPE_SHUTDOWN_HANDOVER", .help = "clients of a gate that has been replaced may stay so long"},
{"workers", SETTING_INT, GATE(workers), RANGE(1, 64), .preset = "1",
	.restart = true, .variables = "STANDPIPE_WORKERS", .help = "gates of serve side by side, a core each; they share the pool and the budget"},
{"user", SETTING_TEXT, GATE(run_as), RANGE(0, 255), .preset = "", .empty = "as started",
	.restart = true, .variables = "STANDPIPE_USER", .help = "the user that the gate becomes once its sockets are bound, if started as root"},

{"loop.backend", SETTING_CHOICE, GATE(loop_backend), .choices = backends, .preset = "auto",
	.restart = true, .variables = "STANDPIPE_LOOP_BACKEND", .help = "how the gate waits: epoll, or io_uring where that is allowed"},

{"log.format", SETTING_CHOICE, AT(log_format), .choices = log_formats, .preset = "auto",
	.restart = true, .variables = "STANDPIPE_LOG_FORMAT", .help = "auto: text on a terminal, else JSON"},
{"log.level", SETTING_CHOICE, AT(log_level), .choices = log_levels, .preset = "info",
	.variables = "STANDPIPE_LOG_LEVEL", .help = "the least that is logged"},
};
/* clang-format on */

const struct setting *config_rows(int *count)
{
	*count = (int)(sizeof(rows) / sizeof(rows[0]));
	return rows;
}
