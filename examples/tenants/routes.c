/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bulkhead.h>

#include "drill.h"
#include "metrics.h"
#include "page.h"
#include "routes.h"
#include "session.h"

#define JSON "application/json"

struct route {
	const char *method;
	const char *path;    /* one that ends in '/' is followed by a tenant's name */
	const char *methods; /* all of this path */
	enum MHD_Result (*run)(struct request *request);
	bool has_script; /* its body is charged to the tenant */
};

static const struct options *settings;

static const char *query(struct request *request, const char *key)
{
	return MHD_lookup_connection_value(
		request->connection, MHD_GET_ARGUMENT_KIND, key);
}

static enum MHD_Result get_page(struct request *request)
{
	struct text text = {0};

	text_add_bytes(&text, page_html, strlen(page_html));
	return http_answer_text(request, 200, &text, "text/html; charset=utf-8");
}

static enum MHD_Result get_metrics(struct request *request)
{
	struct text text = {0};

	metrics_write(&text);
	return http_answer_text(request, 200, &text, "text/plain; version=0.0.4");
}

static enum MHD_Result get_report(struct request *request)
{
	const char *format = query(request, "format");
	const char *accept = MHD_lookup_connection_value(
		request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool is_json = format ? !strcmp(format, "json") : accept && strstr(accept, JSON);
	off_t size;
	int fd;

	if (format && strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
		return http_refuse(request, 400, "format should be json or text");
	fd = memfd_create("report", MFD_CLOEXEC);
	if (fd < 0)
		return http_refuse(request, 503, "no descriptor for the report");
	if (bh_report_write(fd, is_json ? BH_JSON : BH_TEXT) ||
		(size = lseek(fd, 0, SEEK_CUR)) < 0) {
		close(fd);
		return http_refuse(request, 503, "the report could not be written");
	}
	return http_answer_fd(request, fd, (uint64_t)size,
		is_json ? JSON : "text/plain; charset=utf-8");
}

static enum MHD_Result get_tenants(struct request *request)
{
	struct text text = {0};

	tenants_write_json(&text);
	return http_answer_text(request, 200, &text, JSON);
}

static enum MHD_Result answer_tenant(struct request *request, struct tenant *tenant)
{
	struct text text = {0};

	tenant_write_json(&text, tenant);
	text_add(&text, "\n");
	return http_answer_text(request, 200, &text, JSON);
}

static enum MHD_Result get_tenant(struct request *request)
{
	struct tenant *tenant = tenant_find(request->name);

	if (!tenant)
		return http_refuse(request, 404, "no such tenant");
	return answer_tenant(request, tenant);
}

static enum MHD_Result put_tenant(struct request *request)
{
	struct tenant *tenant = tenant_get(request->name);
	const char *wrong;

	if (!tenant)
		return http_refuse(request, 429, "there are too many tenants");
	if (request->body.size)
		wrong = tenant_set_json(tenant, request->body.text, request->body.size);
	else
		wrong = tenant_set(
			tenant, query(request, "max"), query(request, "deadline"));
	if (wrong)
		return http_refuse(request, 400, wrong);
	return answer_tenant(request, tenant);
}

/* False: the request was refused, and *@ret is what to return. */
static bool get_lang(struct request *request, enum MHD_Result *ret)
{
	const char *lang = query(request, "lang");

	for (size_t i = 0; lang && i < NR_LANGS; i++) {
		if (!strcmp(lang, lang_names[i])) {
			request->lang = (enum lang)i;
			return true;
		}
	}
	*ret = http_refuse(request, 400, "lang should be lua or js");
	return false;
}

static enum MHD_Result post_run(struct request *request)
{
	enum MHD_Result r;

	if (!get_lang(request, &r))
		return r;
	if (!tenant_begin(request->tenant))
		return http_refuse(request, 429, "this tenant has too many requests");
	return http_submit(request);
}

/* "id" names one of several sessions of a tenant. */
static const char *session_id(struct request *request)
{
	const char *id = query(request, "id");

	return !id ? "default" : tenant_name_valid(id) ? id : NULL;
}

static enum MHD_Result post_session(struct request *request)
{
	const char *id = session_id(request);
	enum MHD_Result r;

	if (settings->contain != CONTAIN_TASK)
		return http_refuse(request, 501, "sessions need --contain=task");
	if (!id)
		return http_refuse(request, 400, "id should be a name");
	if (!get_lang(request, &r))
		return r;
	request->session = session_get(request->tenant, id, request->lang);
	if (!request->session)
		return http_refuse(request, 429, "there are too many sessions");
	if (request->session->lang != request->lang)
		return http_refuse(request, 409, "this session is in the other language");
	if (!tenant_begin(request->tenant))
		return http_refuse(request, 429, "this tenant has too many requests");
	return http_submit(request);
}

static enum MHD_Result delete_session(struct request *request)
{
	struct tenant *tenant = tenant_find(request->name);
	const char *id = session_id(request);
	struct text text = {0};

	if (!id || !tenant || !session_remove(tenant, id, NULL))
		return http_refuse(request, 404, "no such session");
	text_add(&text, "{\"deleted\":true}\n");
	return http_answer_text(request, 200, &text, JSON);
}

static enum MHD_Result post_drill(struct request *request)
{
	const char *how_long = query(request, "for");
	uint64_t ns;

	if (!settings->drills)
		return http_refuse(request, 403, "drills need --drills");
	if (!how_long || !parse_time(how_long, &ns) || ns > DRILL_MAX_NS)
		return http_refuse(request, 400, "for should be a time of up to 10s");
	MHD_suspend_connection(request->connection);
	if (drill_start(request, ns))
		return MHD_YES;
	MHD_resume_connection(request->connection);
	request->status = 503;
	request->message = "no thread for the drill";
	return MHD_YES;
}

static enum MHD_Result delete_drill(struct request *request)
{
	struct text text = {0};

	if (!settings->drills)
		return http_refuse(request, 403, "drills need --drills");
	drill_end();
	text_add(&text, "{\"held\":false}\n");
	return http_answer_text(request, 200, &text, JSON);
}

static const struct route routes[] = {
	{"GET", "/", "GET", get_page, false},
	{"GET", "/metrics", "GET", get_metrics, false},
	{"GET", "/report", "GET", get_report, false},
	{"GET", "/tenants", "GET", get_tenants, false},
	{"GET", "/tenants/", "GET, PUT", get_tenant, false},
	{"PUT", "/tenants/", "GET, PUT", put_tenant, false},
	{"POST", "/run/", "POST", post_run, true},
	{"POST", "/session/", "POST, DELETE", post_session, true},
	{"DELETE", "/session/", "POST, DELETE", delete_session, false},
	{"POST", "/drill/cache-lock", "POST, DELETE", post_drill, false},
	{"DELETE", "/drill/cache-lock", "POST, DELETE", delete_drill, false},
};

static bool matches(const struct route *route, const char *url)
{
	size_t size = strlen(route->path);

	if (size > 1 && route->path[size - 1] == '/')
		return !strncmp(url, route->path, size);
	return !strcmp(url, route->path);
}

static void refuse(struct request *request, unsigned status, const char *message)
{
	request->status = status;
	request->message = message;
}

/* The name that follows the path. */
static bool find_name(struct request *request, const char *url)
{
	const char *name = url + strlen(request->route->path);

	if (!*name && name[-1] != '/')
		return true;
	if (name[-1] != '/' || strlen(url) == 1)
		return true;
	if (!tenant_name_valid(name))
		return false;
	memcpy(request->name, name, strlen(name) + 1);
	return true;
}

void route_find(struct request *request, const char *url, const char *method)
{
	const struct route *found = NULL;

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!matches(&routes[i], url))
			continue;
		request->route = &routes[i];
		if (!strcmp(method, routes[i].method))
			found = &routes[i];
	}
	if (!request->route) {
		refuse(request, 404, "there is nothing here; see docs/tenants.md");
	} else if (!found) {
		refuse(request, 405, request->route->methods);
	} else {
		request->route = found;
		if (!find_name(request, url))
			refuse(request, 400,
				"a name is 1 to 31 of letters, digits, '.', '_', '-'");
	}
	if (request->status || !found->has_script)
		return;
	request->tenant = tenant_get(request->name);
	if (!request->tenant) {
		refuse(request, 429, "there are too many tenants");
		return;
	}
	request->body.group = request->output.group = request->tenant->group;
}

enum MHD_Result route_run(struct request *request)
{
	return request->route->run(request);
}

const char *route_methods(const struct route *route)
{
	return route ? route->methods : "GET";
}

void routes_init(const struct options *options)
{
	settings = options;
}
