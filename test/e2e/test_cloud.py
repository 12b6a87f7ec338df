"""Cloud Monitoring, by a stand-in: the real service can't be reached from a test. What is tested is that the
gate asks as its API is documented, tells what it was told, and never minds when it is told nothing."""

import datetime
import http.server
import json
import threading
import urllib.parse

import pytest

import faults
import harness
from harness import HOST, wait_until

TOKEN = "ya29.not-to-be-shown"
PREFIX = "vpcaccess.googleapis.com/connector/"


def rfc3339(ago_s):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago_s)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def point(value):
    return {"interval": {"startTime": rfc3339(150), "endTime": rfc3339(90)}, "value": value}


class Cloud:
    """The metadata server and the Monitoring API v3, at one address."""

    def __init__(self):
        self.requests = []  # (path, query, headers)
        self.status = 200
        self.life_s = 3600
        self.values = {"instances": {"int64Value": "3"},
                       "cpu/utilizations": {"distributionValue": {"count": "3", "mean": 40.0}},
                       "received_bytes_count": {"int64Value": "75000000"},
                       "sent_bytes_count": {"int64Value": "15000000"}}
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(asked.query))
                cloud.requests.append((asked.path, query, dict(self.headers)))
                status, body = cloud.answer(asked.path, query, self.headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path, query, headers):
        if path.startswith("/computeMetadata/v1/"):
            if headers.get("Metadata-Flavor") != "Google":
                return 403, b"Missing Metadata-Flavor:Google header."
            if path.endswith("/instance/service-accounts/default/token"):
                return 200, json.dumps({"access_token": TOKEN, "expires_in": self.life_s,
                                        "token_type": "Bearer"}).encode()
            assert path.endswith("/project/project-id"), path
            return 200, b"the-project"
        if self.status != 200:
            return self.status, json.dumps({"error": {"code": self.status, "message": "Permission denied."}}).encode()
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, b"{}"
        metric = query["filter"].partition(PREFIX)[2].partition('"')[0]
        if metric not in self.values:
            return 400, b"{}"
        series = {"metric": {"type": PREFIX + metric}, "unit": "%", "points": [point(self.values[metric])]}
        return 200, json.dumps({"timeSeries": [series]}).encode()

    def paths(self):
        return [path for path, _, _ in self.requests]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def cloud():
    cloud = Cloud()
    try:
        yield cloud
    finally:
        cloud.close()


def variables(cloud, **more):
    return {"STANDPIPE_MONITORING_METADATA_URL": cloud.url, "STANDPIPE_MONITORING_API_URL": cloud.url,
            "STANDPIPE_MONITORING_CONNECTOR": "narrow", **more}


def metrics(standpipe):
    lines = standpipe.get("/metrics").body.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


def wait_asked(standpipe, outcome, count):
    name = f'standpipe_connector_queries_total{{outcome="{outcome}"}}'
    return wait_until(lambda: (m := metrics(standpipe)).get(name, 0) >= count and m, f"{count} questions {outcome}")


def test_the_connector_is_shown_with_the_age_of_what_is_known(gate, cloud):
    standpipe = gate(**variables(cloud, STANDPIPE_MONITORING_INTERVAL="100ms")).standpipe
    seen = wait_asked(standpipe, "ok", 3)
    assert seen["standpipe_connector_instances"] == 3
    assert seen["standpipe_connector_cpu_utilisation_ratio"] == pytest.approx(0.4)
    assert seen["standpipe_connector_received_bits_per_second"] == pytest.approx(10e6)
    assert seen["standpipe_connector_sent_bits_per_second"] == pytest.approx(2e6)
    assert seen["standpipe_connector_sample_age_seconds"] >= 89
    told = standpipe.get("/status").json["connector"]
    assert (told["instances"], told["failed"], told["error"]) == (3, 0, None)
    # The token and the project are asked for once.
    paths = cloud.paths()
    assert paths.count("/computeMetadata/v1/instance/service-accounts/default/token") == 1
    assert paths.count("/computeMetadata/v1/project/project-id") == 1
    assert paths.count("/v3/projects/the-project/timeSeries") >= 3 * 4
    _, query, _ = next(r for r in cloud.requests if r[0].startswith("/v3/"))
    assert query["filter"] == ('resource.type="vpc_access_connector" AND '
                               f'metric.type="{PREFIX}instances" AND resource.labels.connector_name="narrow"')
    assert query["interval.startTime"] < query["interval.endTime"]
    for page in ("/status", "/metrics"):
        assert TOKEN not in standpipe.get(page).body
    assert TOKEN not in standpipe.text


def test_it_is_off_unless_it_is_asked_for(gate, cloud):
    standpipe = gate(**variables(cloud)).standpipe
    assert standpipe.get("/status").json["connector"] is None
    assert not any("standpipe_connector_" in name for name in metrics(standpipe))
    standpipe.stop()
    assert cloud.requests == []


def test_a_refusal_is_counted_and_logged_once_and_nothing_else_minds(gate, cloud):
    cloud.status = 403
    g = gate(**variables(cloud, STANDPIPE_MONITORING_INTERVAL="20ms", STANDPIPE_MONITORING_PROJECT="mine"))
    wait_asked(g.standpipe, "failed", 3)
    told = g.standpipe.get("/status").json["connector"]
    assert told["instances"] is None and "Permission denied." in told["error"]["text"]
    assert told["error"]["code"] == 403
    health = g.standpipe.get("/health")
    assert health.status == 200 and health.json["availability"] == "full"
    cloud.status = 200
    wait_asked(g.standpipe, "ok", 1)
    said = [e["message"] for e in g.standpipe.log() if "Cloud Monitoring" in e["message"]]
    assert len(said) == 2 and said[1].endswith("again"), said
    assert "/v3/projects/mine/timeSeries" in cloud.paths()


def test_a_token_that_is_over_is_asked_for_again(gate, cloud):
    cloud.life_s = 30  # less than the minute before its end that it is kept from use
    standpipe = gate(**variables(cloud, STANDPIPE_MONITORING_INTERVAL="20ms")).standpipe
    wait_asked(standpipe, "ok", 3)
    assert cloud.paths().count("/computeMetadata/v1/instance/service-accounts/default/token") >= 3


def test_a_service_that_hangs_holds_up_neither_start_nor_end(gate):
    with faults.silent_port() as port:
        g = gate(STANDPIPE_MONITORING_INTERVAL="20ms", STANDPIPE_MONITORING_METADATA_URL=f"http://{HOST}:{port}",
                 DB_HEALTH_CHECK_TIMEOUT="600s")
        assert g.standpipe.get("/status").json["connector"]["asked"] == 0
        assert g.standpipe.get("/health").json["availability"] == "full"
        assert g.standpipe.stop() == 0


def test_probe_asks_once_when_told_to(run_standpipe, postgres, cloud):
    def probe(*arguments, **env):
        program = run_standpipe("probe", "--json", "--count", "0", "--parallel", "1", *arguments,
                                env={"DATABASE_URL": postgres.url(), **variables(cloud, **env)})
        return program.wait(), json.loads("\n".join(program.stdout_lines)), program.text

    code, told, text = probe("--cloud")
    assert code == 0 and TOKEN not in text
    assert told["connector"] == {"instances": 3.0, "cpu_utilisation": pytest.approx(0.4), "error": None,
                                 "received_bit_s": pytest.approx(10e6), "sent_bit_s": pytest.approx(2e6)}
    assert "3 instances at 40 % of their CPU" in next(a["text"] for a in told["advice"] if a["code"] == "connector")
    cloud.values["cpu/utilizations"] = {"doubleValue": 95}
    code, told, _ = probe("--cloud")
    assert code == 1 and told["advice"][0]["code"] == "connector_busy"
    asked = len(cloud.requests)
    code, told, _ = probe()
    assert code == 0 and told["connector"] is None and len(cloud.requests) == asked
    # What can't be asked is no fault of the path.
    code, told, _ = probe("--cloud", STANDPIPE_MONITORING_METADATA_URL=f"http://{HOST}:{harness.free_port()}")
    assert code == 0 and "access token" in told["connector"]["error"]


@pytest.mark.parametrize("config, part", [
    ("monitoring: {api_url: monitoring.googleapis.com}", "must begin with http:// or https://"),
    ("monitoring: {metadata_url: 'http://metadata/'}", "must not end in a slash"),
    ("monitoring: {connector: 'a\"b'}", "without quotes"),
])
def test_what_can_not_be_an_address_is_refused(run_standpipe, config, part):
    program = run_standpipe("check", config=config + "\n", env={"DATABASE_URL": "postgresql://a@h/d"})
    assert program.wait() == 2
    assert part in program.text and ":1: monitoring." in program.text
