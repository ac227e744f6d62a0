/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "curl.h"
#include "text.h"

static size_t on_data(char *bytes, size_t size, size_t nr, void *arg)
{
	struct text *body = arg;

	text_add_bytes(body, bytes, size * nr);
	return body->failed ? 0 : size * nr;
}

CURL *curl_open(int timeout_ms)
{
	CURL *curl = curl_easy_init();

	if (!curl)
		return NULL;
	/* Without this a timeout would be a signal, and threads have none of their own.
	 */
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	return curl;
}

bool curl_post(
	CURL *curl, unsigned port, const char *path, const char *body, struct reply *ret)
{
	struct text text = {0};
	long status = 0;
	char url[160];
	CURLcode r;

	memset(ret, 0, sizeof(*ret));
	if (!curl)
		return false;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
	r = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	text_add(&text, "%s", "");
	ret->status = (int)status;
	ret->is_whole = r == CURLE_OK && !text.failed;
	ret->body = text.data;
	ret->size = text.size;
	return ret->status != 0;
}
