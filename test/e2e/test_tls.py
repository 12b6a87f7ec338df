"""TLS towards clients: what psql and the drivers make of it, certificates that are changed while
clients stay, and those who try to slip something past it."""

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import ssl
import struct
import subprocess

import asyncpg
import psycopg2
import pytest

import harness
from certs import Authority
from harness import HOST, wait_until
from pgwire import SSL_REQUEST, Closed, Session, cancel_request, error_fields, query, startup
from test_wire import serve

GSS_REQUEST = struct.pack("!II", 8, 80877104)
HELLO = startup({"user": "app", "database": "app"})


@pytest.fixture(scope="module")
def directory():
    made = harness.short_dir("sp-tls-")
    yield made
    harness.shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def gate(standpipe, postgres, authority):
    runner = harness.Runner(standpipe)
    cert, key = authority.server()
    try:
        yield serve(runner, postgres, STANDPIPE_TLS_CERT=cert, STANDPIPE_TLS_KEY=key)
    finally:
        runner.close()


def connect(gate, authority, **more):
    parameters = {"host": "localhost", "hostaddr": HOST, "port": gate.gate_port, "user": "app", "dbname": "app",
                  "sslmode": "verify-full", "sslrootcert": authority.cert, **more}
    connection = psycopg2.connect(**parameters)
    connection.autocommit = True
    return connection


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def psql(gate, sql, stdin=None, **env):
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql], input=stdin, capture_output=True, text=True,
        timeout=harness.LIMIT, check=False, env=harness.clean_environment(
            PGHOST="localhost", PGHOSTADDR=HOST, PGPORT=gate.gate_port, PGUSER="app", PGDATABASE="app", **env))
    return done.returncode, done.stdout, done.stderr


def client_context(authority, alpn=None):
    context = ssl.create_default_context(cafile=os.fspath(authority.cert))
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def encrypted(gate, authority, **kwargs):
    """A session that has asked for TLS and has it, not logged in."""
    s = Session(gate.gate_port, login=False, **kwargs)
    assert s.ask_byte(SSL_REQUEST) == b"S"
    s.socket = client_context(authority).wrap_socket(s.socket, server_hostname="localhost")
    return s


# --- clients -------------------------------------------------------------------------------------


def test_psql_and_psycopg2_verify_the_gate_fully(gate, authority):
    code, out, err = psql(gate, r"\conninfo", PGSSLMODE="verify-full", PGSSLROOTCERT=authority.cert)
    assert code == 0 and "TLSv1.3" in out, out + err
    with contextlib.closing(connect(gate, authority)) as c:
        assert ask(c, "select 41 + 1") == 42
        assert c.info.ssl_in_use and c.info.ssl_attribute("protocol") == "TLSv1.3"


def test_tls_1_2_is_enough_and_1_1_is_not(gate, authority):
    with contextlib.closing(connect(gate, authority, ssl_max_protocol_version="TLSv1.2")) as c:
        assert c.info.ssl_attribute("protocol") == "TLSv1.2" and "GCM" in c.info.ssl_attribute("cipher")
    with pytest.raises(psycopg2.OperationalError, match="SSL error"):
        connect(gate, authority, ssl_min_protocol_version="TLSv1", ssl_max_protocol_version="TLSv1.1")


def test_asyncpg_verifies_and_pipelines(gate, authority):
    async def talk():
        c = await asyncpg.connect(host="localhost", port=gate.gate_port, user="app", database="app",
                                  ssl=client_context(authority))
        try:
            assert await c.fetchval("select $1::int * 2", 21) == 42
            async with c.transaction():
                await c.executemany("select $1::int", [(i,) for i in range(1000)])
            return await c.fetchval("select repeat('x', 3000000)")
        finally:
            await c.close()
    assert asyncio.run(talk()) == "x" * 3000000


def test_large_rows_both_ways(gate, authority):
    text = os.urandom(6 << 20).hex()
    with contextlib.closing(connect(gate, authority)) as c, c.cursor() as cursor:
        cursor.execute("select md5(%s), %s", (text, text))
        digest, back = cursor.fetchone()
        assert digest == hashlib.md5(text.encode()).hexdigest() and back == text


def test_copy_both_ways(gate, authority):
    rows = "".join(f"{n}\t{'y' * (n % 500)}\n" for n in range(40000))
    env = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": authority.cert}
    code, out, err = psql(gate, "create table tls_copy(n int, t text)", **env)
    assert code == 0, err
    try:
        code, out, err = psql(gate, "copy tls_copy from stdin", stdin=rows, **env)
        assert code == 0, err
        code, out, err = psql(gate, "copy (select * from tls_copy order by n) to stdout", **env)
        assert code == 0 and out == rows, err
    finally:
        psql(gate, "drop table tls_copy", **env)


def test_a_cancel_request_may_come_under_tls(gate, authority):
    with contextlib.closing(encrypted(gate, authority)) as s:
        s.send(HELLO)
        s.log_in("app", None)
        s.send(query("select pg_sleep(600)"))
        with contextlib.closing(Session(gate.gate_port)) as other:
            wait_until(lambda: other.rows("select 1 from pg_stat_activity where query like 'select pg_sleep(600)%' "
                                          "and state = 'active' and pid <> pg_backend_pid()"), "the query")
        with contextlib.closing(encrypted(gate, authority)) as asker:
            asker.send(cancel_request(*s.key))
            assert asker.read_to_end() == []
        found = s.read_until("Z")
        assert [error_fields(body)["C"] for kind, body in found if kind == "E"] == ["57014"]


def test_a_goodbye_is_said(gate, authority):
    """An error at login ends with TLS's own end, or clients would report a broken connection."""
    with contextlib.closing(encrypted(gate, authority)) as s:
        s.send(startup({"user": "nobody", "database": "app"}))
        kind, body = s.read_until("E")[-1]
        assert error_fields(body)["C"] == "28000"
        assert s.socket.recv(1) == b""  # ssl.SSLEOFError where there was none


# --- certificates --------------------------------------------------------------------------------


def shown(gate, authority):
    """The certificate that a new client is shown, as DER."""
    with contextlib.closing(encrypted(gate, authority)) as s:
        return s.socket.getpeercert(binary_form=True)


def der(cert):
    return ssl.PEM_cert_to_DER_cert(cert.read_text())


def test_certificates_are_changed_while_clients_stay(run_standpipe, postgres, directory):
    authority = Authority(directory, "changing")
    cert, key = authority.server()
    gate = serve(run_standpipe, postgres, STANDPIPE_TLS_CERT=cert, STANDPIPE_TLS_KEY=key)
    with contextlib.closing(connect(gate, authority)) as staying:
        first = der(cert)
        assert shown(gate, authority) == first
        new_cert, new_key = authority.server()

        # Half of the change: the key is not the certificate's, so the old ones go on.
        cert.write_bytes(new_cert.read_bytes())
        gate.send_signal(signal.SIGHUP)
        gate.wait_line("what was read before stays in force")
        assert shown(gate, authority) == first
        assert ask(staying, "select 1") == 1

        key.write_bytes(new_key.read_bytes())
        gate.send_signal(signal.SIGHUP)
        wait_until(lambda: shown(gate, authority) == der(new_cert), "the new certificate")
        assert ask(staying, "select 2") == 2


@pytest.mark.parametrize("broken, told", [("cert", "the certificate can't be used"), ("key", "the key can't be used")])
def test_files_that_are_no_good_are_told_at_the_start(run_standpipe, postgres, authority, directory, broken, told):
    cert, key = authority.server()
    files = {"cert": cert, "key": key}
    files[broken].write_text("-----BEGIN nothing\n")
    gate = run_standpipe("serve", env={"DATABASE_URL": postgres.url(), "STANDPIPE_TLS_CERT": cert,
                                       "STANDPIPE_TLS_KEY": key, "STANDPIPE_LISTEN_PORT": harness.free_port()})
    assert gate.wait() == 2
    assert told in gate.text and os.fspath(files[broken]) in gate.text


# --- without ------------------------------------------------------------------------------------


def test_without_a_certificate_there_is_no_tls(run_standpipe, postgres, authority):
    gate = serve(run_standpipe, postgres)
    with pytest.raises(psycopg2.OperationalError, match="server does not support SSL, but SSL was required"):
        connect(gate, authority, sslmode="require")
    with contextlib.closing(connect(gate, authority, sslmode="prefer")) as c:
        assert not c.info.ssl_in_use
    with pytest.raises(OSError):
        with socket.create_connection((HOST, gate.gate_port)) as plain:
            client_context(authority, ["postgresql"]).wrap_socket(plain, server_hostname="localhost")
    assert gate.running()


# --- direct, as PostgreSQL 17's clients do -------------------------------------------------------


def direct(gate, authority, alpn):
    s = Session(gate.gate_port, login=False)
    s.socket = client_context(authority, alpn).wrap_socket(s.socket, server_hostname="localhost")
    return s


def test_tls_may_begin_without_asking(gate, authority):
    with contextlib.closing(direct(gate, authority, ["postgresql"])) as s:
        assert s.socket.selected_alpn_protocol() == "postgresql"
        s.send(HELLO)
        s.log_in("app", None)
        assert s.rows("select repeat('z', 100000)") == [["z" * 100000]]


def test_a_direct_start_in_pieces(gate, authority):
    """The handshake's first message may come in any pieces."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(authority, ["postgresql"]).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection((HOST, gate.gate_port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            for byte in outgoing.read():
                s.sendall(bytes([byte]))
            incoming.write(s.recv(1 << 16))
        tls.write(HELLO)
        s.sendall(outgoing.read())
        incoming.write(s.recv(1 << 16))
        assert tls.read(1) == b"R"


def test_a_direct_start_must_name_the_protocol(gate, authority):
    with contextlib.closing(direct(gate, authority, None)) as s:
        s.send(HELLO)
        kind, body = s.read()
        assert kind == "E" and "ALPN" in error_fields(body)["M"]
    with pytest.raises((ssl.SSLError, OSError)):
        direct(gate, authority, ["http/1.1"])


# --- hostile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", ids=range(3), argvalues=[HELLO, b"\x16", HELLO + query("select 1")])
def test_what_comes_in_plain_text_behind_the_request_is_refused(gate, authority, behind):
    """CVE-2021-23214 and -3618: somebody in between puts a message where TLS is to begin."""
    with contextlib.closing(Session(gate.gate_port, login=False)) as s:
        s.send(SSL_REQUEST + behind)
        (kind, body), = s.read_to_end()
        assert kind == "E" and error_fields(body)["C"] == "08P01"
        assert "unencrypted data" in error_fields(body)["M"]


def test_encryption_is_asked_for_once(gate, authority):
    for again in (SSL_REQUEST, GSS_REQUEST):
        with contextlib.closing(encrypted(gate, authority)) as s:
            s.send(again)
            kind, body = s.read()
            assert kind == "E" and error_fields(body)["C"] == "0A000"


@pytest.mark.parametrize("garbage", ids=range(5), argvalues=[
    HELLO, b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", os.urandom(1 << 17), b""])
def test_a_handshake_of_garbage_ends_the_connection(gate, authority, garbage):
    with contextlib.closing(Session(gate.gate_port, login=False)) as s:
        assert s.ask_byte(SSL_REQUEST) == b"S"
        with contextlib.suppress(OSError):
            s.send(garbage)
            s.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError, Closed):
            while s.socket.recv(1 << 16):
                pass
    with contextlib.closing(connect(gate, authority)) as c:
        assert ask(c, "select 1") == 1


def test_a_client_that_goes_in_the_middle_of_a_transaction_leaves_nothing(gate, authority):
    for _ in range(8):
        s = encrypted(gate, authority)
        s.send(HELLO)
        s.log_in("app", None)
        s.ask(query("begin"))
        s.send(query("select pg_sleep(0.01), repeat('x', 1000000)"))
        s.socket.close()
    with contextlib.closing(connect(gate, authority)) as c:
        assert ask(c, "select 1") == 1
        wait_until(lambda: ask(c, "select count(*) from pg_stat_activity where state like 'idle in transaction%'") == 0,
                   "the transactions' ends")
