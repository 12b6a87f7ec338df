/*
 * door_driver - the admin pages and the front door on a loop, for test/e2e/test_http_door.py.
 *
 *	door_driver relay|inherit COMMAND_PORT [LISTEN_FD]
 *
 * Says {"admin":PORT,"door":PORT} on stdout, then obeys lines on stdin and answers each with one:
 *	start    the startup completes      {"ok":true}
 *	open     the door opens             {"ok":true}
 *	close    the door closes            {"ok":true}
 *	pause    the admin pages stop accepting; resume: go on
 *	count    what is there              {"admin":..,"tunnels":..,"refusals":..,"bytes":..}
 * At the end of stdin it frees all, and ends with 0 when nothing is left on the loop.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "gate/door.h"
#include "gate/page.h"
#include "gate/status.h"
#include "instance.h"

struct driver {
	uv_loop_t loop;
	uv_pipe_t input;
	struct instance instance;
	struct http *admin;
	struct door *door;
	char line[256];
	size_t len;
};

static void on_admin(
	void *context, const struct http_request *request, struct http_response *response)
{
	struct driver *d = context;
	status_answer(&d->instance.view, request, response);
}

static void on_door(
	void *context, const struct http_request *request, struct http_response *response)
{
	struct driver *d = context;
	page_answer(&d->instance.view, request, response);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(fd, 511) != 0) {
		perror("door_driver");
		exit(1);
	}
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
		return 0;
	return ntohs(address.sin_port);
}

static void obey(struct driver *d, const char *line)
{
	if (strcmp(line, "count") == 0) {
		printf("{\"admin\":%d,\"tunnels\":%d,\"refusals\":%llu,\"bytes\":%llu}\n",
			http_connections(d->admin), door_tunnels(d->door),
			(unsigned long long)door_refusals(d->door),
			(unsigned long long)door_bytes(d->door));
		return;
	}
	if (strcmp(line, "open") == 0)
		door_open(d->door);
	else if (strcmp(line, "close") == 0)
		door_close(d->door);
	else if (strcmp(line, "pause") == 0)
		http_pause(d->admin);
	else if (strcmp(line, "resume") == 0)
		http_resume(d->admin);
	else
		for (enum phase p = PHASE_DATABASE; p < PHASE_COUNT; p++)
			instance_phase(&d->instance, 4.0, p, true);
	printf("{\"ok\":true}\n");
}

static void finish(struct driver *d)
{
	uv_close((uv_handle_t *)&d->input, NULL);
	http_free(d->admin);
	door_free(d->door);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	struct driver *d = handle->data;
	*buf = uv_buf_init(d->line + d->len, (unsigned)(sizeof(d->line) - 1 - d->len));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct driver *d = stream->data;
	if (n < 0) {
		finish(d);
		return;
	}
	d->len += (size_t)n;
	d->line[d->len] = 0;
	char *end;
	while ((end = strchr(d->line, '\n'))) {
		*end = 0;
		obey(d, d->line);
		d->len -= (size_t)(end + 1 - d->line);
		memmove(d->line, end + 1, d->len + 1);
	}
}

static struct driver driver;

int main(int argc, char **argv)
{
	struct error error;
	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	instance_init(&driver.instance);
	instance_reach(&driver.instance, 1.0, PHASE_DATABASE);
	instance_connected(&driver.instance, 2.0);
	uv_loop_init(&driver.loop);
	int admin_fd = listen_on_loopback();
	struct door_settings settings = {
		.mode = strcmp(argv[1], "relay") == 0 ? DOOR_RELAY : DOOR_INHERIT,
		.command_port = atoi(argv[2]),
		.listen_fd = argc > 3 ? atoi(argv[3]) : listen_on_loopback(),
	};
	driver.admin = http_new(&driver.loop, admin_fd, on_admin, &driver, &error);
	driver.door = door_new(&driver.loop, &settings, on_door, &driver, &error);
	if (!driver.admin || !driver.door) {
		fprintf(stderr, "door_driver: %s\n", error.text);
		return 1;
	}
	uv_pipe_init(&driver.loop, &driver.input, 0);
	driver.input.data = &driver;
	uv_pipe_open(&driver.input, 0);
	uv_read_start((uv_stream_t *)&driver.input, on_alloc, on_input);
	printf("{\"admin\":%d,\"door\":%d}\n", port_of(admin_fd), port_of(settings.listen_fd));
	uv_run(&driver.loop, UV_RUN_DEFAULT);
	int rc = uv_loop_close(&driver.loop);
	if (rc)
		fprintf(stderr, "door_driver: the loop is not empty: %s\n", uv_strerror(rc));
	close(admin_fd);
	close(settings.listen_fd);
	instance_release(&driver.instance);
	return rc ? 1 : 0;
}
