"""`standpipe probe`: what it says of paths that are well, and of paths that are broken in one way each."""

import contextlib
import json
import pathlib
import signal
import time

import pytest

import certs
import faults
import harness
from faults import BlackHole, Proxy
from harness import HOST, wait_until


@pytest.fixture
def probe(run_standpipe):
    """probe(URL, "--count", "2"): the JSON, with the exit code checked against what it says."""
    def run(*arguments, env=None, config=None, code=None):
        program = run_standpipe("probe", "--json", *arguments, env=env, config=config)
        ended = program.wait()
        told = json.loads("\n".join(program.stdout_lines))
        assert told["exit_code"] == ended
        if code is not None:
            assert ended == code, program.text
        told["program"] = program
        return told
    return run


def codes(told, least=("warning", "critical")):
    return [a["code"] for a in told["advice"] if a["severity"] in least]


def advice(told, code):
    return next(a for a in told["advice"] if a["code"] == code)


def test_a_healthy_path_is_measured_stage_by_stage(probe, make_postgres):
    server = make_postgres(tls=True).start()
    told = probe("--count", "3", "--parallel", "2", "--interval", "10ms", env={"DATABASE_URL": server.url()}, code=0)
    assert told["target"]["address"] == f"{HOST}:{server.port}"
    assert told["target"]["reached"] == f"{HOST}:{server.port}"
    assert told["target"]["tls"].startswith("TLSv1.")
    attempts = told["attempts"]
    assert (attempts["total"], attempts["ok"], attempts["failed_by"]) == (7, 7, {})
    assert [(a["part"], a["parallel"]) for a in attempts["list"]] == [
        ("first", 1), *[("series", 1)] * 3, ("ramp", 1), ("ramp", 2), ("ramp", 2)]
    for stage in ("dns", "tcp", "tls", "auth", "ready"):
        row = told["stages"][stage]
        assert (row["passed"], row["failed"]) == (7, 0), stage
        assert 0 < row["min_s"] <= row["p50_s"] <= row["p95_s"] <= row["max_s"], stage
    assert told["stages"]["query"]["passed"] == 10 + 6
    first = attempts["list"][0]["stages_s"]
    assert first["ready"] == pytest.approx(sum(first[s] for s in ("dns", "tcp", "tls", "auth")))
    assert sum(b["count"] for b in told["histogram"]) == 7
    assert [(s["parallel"], s["passed"]) for s in told["ramp"]["steps"]] == [(1, 1), (2, 2)]
    assert told["ramp"]["gives_way_at"] is None
    assert 0 < told["tcp"]["min_rtt_s"] <= told["tcp"]["rtt_s"]
    assert told["server"]["max_connections"] == 100 and told["server"]["in_recovery"] is False
    assert told["server"]["version"].split(".")[0].isdigit()
    assert told["capacity"]["usable"] == 97 and told["capacity"]["fits"] is True
    assert told["advice"][0]["code"] == "healthy"
    wait_until(lambda: server.sessions() == 0, "the end of its connections")


def test_people_get_a_page_of_80_columns_without_colours(run_standpipe, postgres):
    program = run_standpipe("probe", "--count", "2", "--parallel", "2", postgres.url(query="sslmode=disable"))
    assert program.wait() == 0, program.text
    text = program.text
    for part in ("First connect", "STAGE", "READY WITHIN", "#", "AT ONCE", "healthy: 6 of 6", "max_connections"):
        assert part in text, text
    assert not any(line.startswith("tls") for line in program.lines), text
    assert max(map(len, program.lines)) <= 80, text
    assert "\033" not in text
    assert program.stderr_lines == []


def test_sessions_of_others_are_counted_by_a_user_who_may_not_look_at_them(probe, postgres):
    with contextlib.ExitStack() as stack:
        before = probe("--count", "0", "--parallel", "1", postgres.url(), code=0)["server"]["backends"]
        for _ in range(3):
            stack.enter_context(contextlib.closing(postgres.connect(user="postgres")))
        told = probe("--count", "0", "--parallel", "1", postgres.url(), code=0)
        assert told["server"]["backends"] == before + 3
        super_url = postgres.url(user="postgres", database="postgres")
        told = probe("--count", "0", "--parallel", "1", super_url, code=0)
        assert told["server"]["backends"] == before + 3
    assert told["attempts"]["total"] == 1 and told["ramp"]["steps"] == []


def test_a_wrong_password_is_tried_once(probe, postgres):
    told = probe(postgres.url(password="not-the-secret"), code=3)
    assert told["attempts"]["failed_by"] == {"auth": 1}
    assert told["attempts"]["list"][0]["sqlstate"] == "28P01"
    assert "password is wrong" in advice(told, "auth")["text"]
    assert "not-the-secret" not in told["program"].text


def test_a_wrong_database_is_told(probe, postgres):
    told = probe(postgres.url(database="nowhere"), code=3)
    assert codes(told) == ["database"]
    assert told["attempts"]["list"][0]["sqlstate"] == "3D000"


def test_a_port_where_nothing_listens_is_told(probe):
    told = probe("--interval", "0", f"postgresql://app@{HOST}:{harness.free_port()}/app", code=3)
    assert codes(told) == ["refused"]
    assert told["attempts"]["total"] == 3
    assert told["server"] is None and told["capacity"] is None and told["target"]["reached"] is None


def test_a_name_that_does_not_resolve_is_told(probe):
    told = probe("--interval", "0", "postgresql://app@no-such-name.invalid/app", code=3)
    assert codes(told)[0] in ("dns", "dns_timeout")
    assert told["stages"]["dns"]["passed"] == 0


def test_dropped_handshakes_are_told_from_a_slow_server(probe):
    hole = BlackHole()
    try:
        told = probe("--timeout", "1.5s", "--interval", "0", f"postgresql://app@{HOST}:{hole.port}/app", code=3)
    finally:
        hole.close()
    assert codes(told) == ["syn_dropped"]
    assert told["tcp"]["syns_again"] >= 3  # after 1 s, in each of three attempts
    assert told["stages"]["tcp"] == {"passed": 0, "failed": 3, "min_s": None, "p50_s": None, "p95_s": None,
                                     "max_s": None}


def connecting_to(port):
    """Is there a socket that waits for its handshake with the port?"""
    remote = f"0100007F:{port:04X}"
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2] == remote and row[3] == "02" for row in rows)


def test_a_handshake_that_comes_through_late_is_told(run_standpipe, postgres):
    hole = BlackHole(postgres.port)
    try:
        program = run_standpipe("probe", "--json", "--count", "0", "--parallel", "1",
                                postgres.url(port=hole.port))
        wait_until(lambda: connecting_to(hole.port), "the handshake")
        hole.lift()
        assert program.wait() == 1, program.text
    finally:
        hole.close()
    told = json.loads("\n".join(program.stdout_lines))
    assert told["attempts"]["list"][0]["syns_again"] >= 1
    assert codes(told) == ["syn_again"]
    assert told["tcp"]["segments_again"] == 0


def test_a_port_that_accepts_and_says_nothing_is_told(probe):
    with faults.silent_port() as port:
        told = probe("--timeout", "300ms", "--interval", "0", f"postgresql://app@{HOST}:{port}/app", code=3)
    assert codes(told) == ["tls_timeout"]
    assert told["tcp"]["syns_again"] == 0


def test_a_certificate_of_an_unknown_authority_is_told(probe, make_postgres, tmp_path):
    server = make_postgres(tls=True).start()
    other = certs.Authority(tmp_path)
    told = probe(server.url(query=f"sslmode=verify-full&sslrootcert={other.cert}"), code=3)
    assert codes(told) == ["tls"]
    assert told["attempts"]["total"] == 1
    told = probe("--count", "0", server.url(query=f"sslmode=verify-full&sslrootcert={server.cert}"), code=0)
    assert told["target"]["tls"]


def test_a_full_server_is_told(probe, make_postgres):
    server = make_postgres(max_connections=6).start()  # 3 are the superuser's
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(contextlib.closing(server.connect()))
        told = probe("--interval", "0", server.url(), code=3)
        assert codes(told) == ["full"]
        assert {a["sqlstate"] for a in told["attempts"]["list"]} == {"53300"}
    wait_until(lambda: server.sessions() == 0, "room")
    # There would not be room for five at once: those of the series are closed one by one.
    told = probe("--count", "4", "--interval", "300ms", "--parallel", "8",
                 env={"DATABASE_URL": server.url(), "STANDPIPE_BUDGET_INSTANCES": 4}, code=1)
    assert told["ramp"]["allowed"] == 1 and told["attempts"]["failed"] == 0
    assert advice(told, "ramp_held_back")["severity"] == "note"
    assert codes(told) == ["capacity"]  # 3 connections are not enough for 4 instances


def hold_back(stage):
    """A rule that delays the server's answers of one stage. PostgreSQL's first answer without TLS is the
    login's."""
    def rule(proxy, connection, from_client, data):
        login = data[:1] == b"R"
        if not from_client and login == (stage == "auth"):
            time.sleep(0.4)  # this is the fault, and no wait for anything
        return data
    return rule


@pytest.mark.parametrize("stage, code", [("auth", "auth_slow"), ("query", "query_slow")])
def test_what_is_slow_behind_a_quick_handshake_is_named(probe, postgres, stage, code):
    relay = Proxy(postgres.port, hold_back(stage))
    try:
        told = probe("--count", "1", "--parallel", "1", postgres.url(port=relay.port, query="sslmode=disable"), code=1)
    finally:
        relay.close()
    assert codes(told) == [code], told["advice"]
    assert told["stages"]["tcp"]["p50_s"] < told["stages"][stage]["p50_s"]


def test_a_server_that_stops_answering_is_told(run_standpipe, postgres):
    def rule(proxy, connection, from_client, data):
        return b"" if from_client and data[:1] == b"Q" else data
    relay = Proxy(postgres.port, rule)
    try:
        program = run_standpipe("probe", "--timeout", "2s", "--count", "0", "--json",
                                postgres.url(port=relay.port, query="sslmode=disable"))
        assert program.wait() == 3, program.text
    finally:
        relay.close()
    told = json.loads("\n".join(program.stdout_lines))
    assert codes(told) == ["query_timeout"]
    assert told["stages"]["ready"]["passed"] == 1 and told["stages"]["query"]["failed"] == 1


def test_the_ramp_stops_where_the_path_gives_way(probe, postgres):
    # Connection 0 is the first one, 1 the step of one, 2 and 3 that of two: of the four that follow
    # one gets through.
    relay = Proxy(postgres.port, lambda proxy, connection, from_client, data: None if connection > 4 else data)
    try:
        told = probe("--count", "0", "--parallel", "16", "--interval", "0",
                     postgres.url(port=relay.port, query="sslmode=disable"), code=1)
    finally:
        relay.close()
    assert [s["parallel"] for s in told["ramp"]["steps"]] == [1, 2, 4]
    assert told["ramp"]["gives_way_at"] == 4
    assert set(codes(told)) == {"reset", "ramp"}


def test_a_host_that_drops_everything_is_passed_over_next_time(probe, postgres):
    hole = BlackHole()
    try:
        url = f"postgresql://app:{postgres.template.PASSWORD}@{HOST}:{hole.port},{HOST}:{postgres.port}/app"
        told = probe("--timeout", "1.5s", "--count", "1", "--parallel", "1", "--interval", "0", url, code=1)
    finally:
        hole.close()
    assert [a["outcome"] for a in told["attempts"]["list"]] == ["timeout", "ok"]


def test_ctrl_c_prints_what_it_has(run_standpipe, postgres):
    hole = BlackHole()
    try:
        program = run_standpipe("probe", "--timeout", "60s", f"postgresql://app@{HOST}:{hole.port}/app")
        wait_until(lambda: connecting_to(hole.port), "the handshake")
        program.send_signal(signal.SIGINT)
        assert program.wait() == 130, program.text
    finally:
        hole.close()
    assert "interrupted" in program.text
    program = run_standpipe("probe", "--count", "1000", "--interval", "10ms", postgres.url())
    program.wait_line("   3  ready in")
    program.send_signal(signal.SIGINT)
    assert program.wait() == 130, program.text
    assert "READY WITHIN" in program.text and "healthy" in program.text
    wait_until(lambda: postgres.sessions() == 0, "the end of its connections")


def test_the_password_command_is_asked_and_its_word_kept(probe, postgres):
    config = "database:\n  password_command: 'echo \"$PGUSER-secret\"'\n"
    told = probe("--count", "1", "--parallel", "1", config=config,
                 env={"DATABASE_URL": postgres.url(password="stale-secret")}, code=0)
    assert told["attempts"]["ok"] == 2
    told = probe(config="database: {password_command: 'echo no-such-secret'}\n",
                 env={"DATABASE_URL": postgres.url()}, code=3)
    assert codes(told) == ["auth"] and "no-such-secret" not in told["program"].text
    told = probe(config="database: {password_command: 'exit 7'}\n", env={"DATABASE_URL": postgres.url()}, code=3)
    assert codes(told) == ["token"]


def test_a_unix_socket_has_no_round_trips(probe, postgres):
    told = probe("--count", "1", "--parallel", "1", env={
        "PGHOST": postgres.socket_dir, "PGPORT": postgres.port, "PGUSER": "app", "PGDATABASE": "app",
        "PGPASSWORD": postgres.template.PASSWORD}, code=0)
    assert told["target"]["reached"] == f"{postgres.socket_dir}/.s.PGSQL.{postgres.port}"
    assert told["tcp"]["rtt_s"] is None


@pytest.mark.parametrize("arguments, part", [
    (["--count", "x"], "--count: x is not a number from 0 to 1000"),
    (["--parallel", "201"], "--parallel: 201 is not a number from 1 to 200"),
    (["--timeout", "0"], "--timeout: 0 is not a duration"),
    (["--interval", "soon"], "--interval: soon is not a duration"),
    (["--unknown"], "unknown option --unknown"),
    (["--timeout"], "--timeout needs a value"),
    (["postgresql://a:top-secret@h/d", "postgresql://a:top-secret@h/d"], "more than one URL"),
    (["mysql://a:top-secret@h/d"], "the URL given"),
    ([], "there is no database"),
])
def test_usage_errors_are_told(run_standpipe, arguments, part):
    program = run_standpipe("probe", *arguments)
    assert program.wait() == 2
    assert part in program.text and "top-secret" not in program.text
