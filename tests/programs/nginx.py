#!/usr/bin/env python3
"""nginx: as one process, and as a master with two forked workers, serving files on loopback."""
import hashlib
import http.client
import random
import signal
import socket
import subprocess

from pooled import Place, expect, expect_equal, need, wait_until

CONFIG = """
daemon off; {more}
error_log stderr; pid {dir}/pid;
events {{ worker_connections 64; }}
http {{
	access_log off; gzip on; gzip_types text/plain; gzip_min_length 100;
	client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3;
	uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5;
	types {{ text/plain txt; }}
	server {{ listen 127.0.0.1:{port}; root {dir}/files; autoindex on;
		location /moved {{ return 301 /1.txt; }} }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, len(body), hashlib.md5(body).hexdigest()


def visit(port):
    seen = [ask(port, f"/{i % 40}.txt") for i in range(600)]
    seen += [ask(port, f"/{i % 40}.txt", **{"Accept-Encoding": "gzip"}) for i in range(200)]
    seen += [ask(port, path) for path in ("/", "/moved", "/missing", "/" + "x" * 3000)]
    seen.append(ask(port, "/3.txt", Range="bytes=10-99"))
    return seen


def serve(place, is_pooled, more):
    port = free_port()
    config = place.write("config", CONFIG.format(dir=place.files, port=port, more=more))
    server = place.start([nginx, "-c", config, "-p", place.files, "-e", "stderr"], is_pooled,
                         stderr=subprocess.DEVNULL)
    wait_until(lambda: is_open(port), "nginx's first answer")
    seen = visit(port)
    if "worker_processes" in more:  # new workers are forked, the old ones leave
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: is_open(port), "nginx's answer after a reload")
        seen += visit(port)
    if is_pooled:
        place.prove()
    expect(place.stop(server, signal.SIGQUIT) == 0, "nginx did not end with status 0")
    return seen


nginx = need("nginx")
with Place() as place:
    subprocess.run(["mkdir", place.path("files")], check=True)
    dice = random.Random(5)
    for i in range(40):
        place.write(f"files/{i}.txt", "".join(dice.choices("abcdef \n", k=i * 700 + 1)))
    for more in ("master_process off;", "worker_processes 2; user root;"):
        expect_equal(serve(place, False, more), serve(place, True, more), more + " answers")
