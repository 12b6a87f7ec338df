#include "gate/hint.h"

#include <stddef.h>
#include <string.h>

#define ANY (-1)

/* How connects fail, the most particular first. */
static const struct {
	int outcome, stage;
	const char *sqlstate; /* its beginning; NULL: any */
	const char *text;
} connect_hints[] = {
	{OUTCOME_TIMEOUT, STAGE_DNS, NULL,
		"the name server does not answer: egress may still be warming up, or the network "
		"that the name server is on is not reached through this path"},
	{OUTCOME_TIMEOUT, STAGE_TCP, NULL,
		"handshakes are being dropped: the connector (VPC) is exhausted or still scaling, "
		"or "
		"a firewall drops; open fewer connections per instance, give the connector more "
		"instances, or use direct VPC egress"},
	{OUTCOME_TIMEOUT, STAGE_TLS, NULL,
		"TCP connects but TLS stalls: the path is overloaded or loses large packets (MTU), "
		"or what listens there is not PostgreSQL"},
	{OUTCOME_TIMEOUT, STAGE_AUTH, NULL,
		"the server accepts connections but does not finish the login: it is short of CPU "
		"or slots, or a proxy before it waits for a connection of its own"},
	{OUTCOME_TIMEOUT, ANY, NULL,
		"the server let us in and then did not answer: it is overloaded, or the path was "
		"cut"},
	{OUTCOME_FULL, ANY, NULL,
		"the server has no connection slots left: is the number of instances in the budget "
		"too small, or do others use this server beside the fleet?"},
	{OUTCOME_STARTING, ANY, NULL,
		"the server is starting up, shutting down or in recovery: wait for it, and look at "
		"its log if it does not come up"},
	{OUTCOME_SHUTDOWN, ANY, NULL,
		"the server ended the session: it is being restarted, or an administrator "
		"terminated the connection"},
	{OUTCOME_AUTH, ANY, "28P01",
		"the password is wrong, or the role does not exist: compare DATABASE_URL with the "
		"server's role; a percent sign in the password must be written %25"},
	{OUTCOME_AUTH, ANY, NULL,
		"the server refuses this user from here: look at pg_hba.conf (address, database, "
		"TLS required?) and at whether the role may log in"},
	{OUTCOME_DATABASE, ANY, NULL,
		"the database does not exist on this server: create it, or mend the name at the "
		"end "
		"of DATABASE_URL"},
	{OUTCOME_REFUSED, ANY, NULL,
		"the host is there, but nothing listens on that port: the server is down, or host "
		"or port in DATABASE_URL are another's"},
	{OUTCOME_UNREACHABLE, ANY, NULL,
		"there is no route to the host: the VPC connector or its routes are missing, or "
		"egress is not up yet"},
	{OUTCOME_RESET, ANY, NULL,
		"the connection was cut: the server or something on the way (proxy, firewall, "
		"connector being replaced) closed it"},
	{OUTCOME_DNS, ANY, NULL,
		"the host's name does not resolve: a typing error in DATABASE_URL, or a private "
		"zone "
		"that is not visible from here"},
	{OUTCOME_TLS, ANY, NULL,
		"TLS fails: compare sslmode and sslrootcert with the server's certificate (name, "
		"authority, expiry), or the server does not offer TLS"},
	{OUTCOME_SETTINGS, ANY, NULL,
		"the server does not take a setting that the session is to begin with: look at "
		"`options` and the other parameters in DATABASE_URL"},
	{OUTCOME_TOKEN, ANY, NULL,
		"database.password_command gave no password: run it by hand, as the user and in "
		"the "
		"environment of Standpipe"},
	{OUTCOME_PROTOCOL, ANY, NULL,
		"what answers is not PostgreSQL as expected, or it refuses for a reason of its "
		"own: "
		"see the error's text"},
};

static const struct {
	enum phase phase;
	const char *text;
	const char *text_timed_out;
} phase_hints[] = {
	{PHASE_INIT, "the configuration does not hold, or a port is taken: see the error",
		"the gate could not begin in time: is the machine out of CPU?"},
	{PHASE_DEPENDENCIES,
		"something that this service was declared to need is missing: a variable, a name "
		"or "
		"a peer; the error names it",
		"something that this service was declared to need did not come up in time; the "
		"error names it"},
	{PHASE_CACHE,
		"Redis does not answer PING as it should: address, password or database number?",
		"Redis does not answer in time: the same path may be short of capacity"},
	{PHASE_SERVICES, "the command could not be started, or its readiness check says no",
		"the command runs but did not become ready in time: does it listen where its "
		"readiness is asked ($PORT), and does its own startup wait for something?"},
	{PHASE_WEBSOCKET,
		"the service answers, but not with a WebSocket handshake: is the path right?",
		"the service did not answer the WebSocket handshake in time"},
	{PHASE_FINALIZE, "a query end to end through the gate failed: see the attempts",
		"a query end to end through the gate was not answered in time: all server "
		"connections are held, or the path broke after the start"},
};

const char *hint_for_connect(enum outcome outcome, enum stage stage, const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(connect_hints) / sizeof(connect_hints[0]); i++) {
		const char *beginning = connect_hints[i].sqlstate;
		if (connect_hints[i].outcome != (int)outcome)
			continue;
		if (connect_hints[i].stage != ANY && connect_hints[i].stage != (int)stage)
			continue;
		if (!beginning || strncmp(sqlstate, beginning, strlen(beginning)) == 0)
			return connect_hints[i].text;
	}
	return "see the error";
}

static const char *database_hint(const struct hint_question *q)
{
	if (q->table_setup && q->timed_out)
		return "the database answers, but its schema check or migration did not end in "
		       "time: does it wait for a lock, or is it long? (DB_TABLE_SETUP_TIMEOUT)";
	if (q->table_setup)
		return "the database answers, but its schema check or migration failed: see the "
		       "error";
	if (!q->attempted)
		return "no connection was attempted in the time allowed: the breaker was open, or "
		       "is held open (breaker.mode), or the phase's timeout is too short";
	if (q->outcome == OUTCOME_OK)
		return "the database connects, but the first query through the gate failed: see "
		       "the "
		       "error";
	return hint_for_connect(q->outcome, q->stage, q->sqlstate);
}

static const char *command_hint(int code)
{
	switch (code) {
	case 126:
		return "the command can't be executed: is the file's x bit set, and is it for this "
		       "machine?";
	case 127:
		return "there is no such command in the image: is its name right, and its folder "
		       "in PATH?";
	case 137:
		return "the command was killed: most often for want of memory (the platform's "
		       "limit), else by somebody";
	default:
		return "the command ended by itself before it was ready: its own output above says "
		       "why";
	}
}

const char *hint_for(const struct hint_question *q)
{
	if (q->phase == PHASE_DATABASE)
		return database_hint(q);
	if (q->phase == PHASE_SERVICES && q->command_ended)
		return command_hint(q->command_code);
	for (size_t i = 0; i < sizeof(phase_hints) / sizeof(phase_hints[0]); i++)
		if (phase_hints[i].phase == q->phase)
			return q->timed_out ? phase_hints[i].text_timed_out : phase_hints[i].text;
	return "see the error";
}
