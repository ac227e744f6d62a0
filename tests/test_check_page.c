/* SPDX-License-Identifier: MIT */
/*
 * The page of `bulkhead check` in a browser without a window: the graph, by mouse and by
 * keyboard, the search, the filter, and links to findings. Skipped where there is no
 * Chromium (scripts/setup dev has it) or python3.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_session.h"

#include "support.h"

#define BY_ID(id) "document.getElementById('" id "')"
#define ALL(what) "document.querySelectorAll('" what "')"
#define TYPE(id, text)                                                    \
	"(" BY_ID(id) ".value = '" text "', " BY_ID(id) ".dispatchEvent(" \
							"new Event('input')), true)\n"
#define PRESS(key)                                                           \
	"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', " \
	"{key: '" key "', bubbles: true}))"

static struct made made;

static void write_page(const char *path)
{
	struct bhi_out out;

	bhi_out_init(&out, open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	ck_assert_int_ge(out.fd, 0);
	ck_assert_int_eq(bhi_check_write_html(&out, &made.session), 0);
	ck_assert_int_eq(bhi_out_flush(&out), 0);
	close(out.fd);
}

/* Each line of @expressions becomes true in the page. */
static void browse(const char *expressions)
{
	const char *dir = support_dir(), *root = getenv("BH_SOURCE_ROOT");
	char script[256], page[256], url[264], profile[256];
	int status, ask = memfd_create("ask", 0);
	pid_t pid;

	ck_assert_ptr_nonnull(root);
	bhi_format(script, sizeof(script), "%s/tests/browse.py", root);
	bhi_format(page, sizeof(page), "%s/page.html", dir);
	bhi_format(url, sizeof(url), "file://%s", page);
	bhi_format(profile, sizeof(profile), "%s/profile", dir);
	write_page(page);
	ck_assert_int_eq(write(ask, expressions, strlen(expressions)),
		(ssize_t)strlen(expressions));
	lseek(ask, 0, SEEK_SET);
	pid = fork();
	if (!pid) {
		dup2(ask, 0);
		/* Of a browser without a desktop there is much to say. */
		dup2(open("/dev/null", O_WRONLY), 2);
		execlp("python3", "python3", script, "chromium", profile, url, NULL);
		_exit(127);
	}
	close(ask);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status),
		"an expression did not become true");
}

static void require_browser(void)
{
	if (system("command -v chromium >/dev/null && command -v python3 >/dev/null"))
		support_skip(
			"no chromium or no python3; scripts/setup dev installs them");
}

START_TEST(the_graph_zooms_and_searches)
{
	require_browser();
	made_init(&made, 200, 1, 1);
	browse(ALL(".f") ".length > 50\n" ALL(
		".f") "[0].getAttribute('aria-label').startsWith('all: 200 stacks, "
		      "')\n" BY_ID("reset") ".disabled\n"
					    "(" ALL(".f:not(.thin)") "[5].click(), "
								     "true)\n"
								     "!" BY_ID("reset") ".disabled && " ALL(".f.above") ".length > 0\n" BY_ID(
									     "about") ".t"
										      "ex"
										      "tC"
										      "on"
										      "te"
										      "nt"
										      ".i"
										      "nc"
										      "lu"
										      "de"
										      "s("
										      "'w"
										      "or"
										      "st"
										      ": "
										      "')"
										      "\n"
										      "(" BY_ID("reset") ".click(), true)\n" ALL(
											      ".f.above") ".length === 0\n" TYPE("search",
											      "Parse_Value")
											      ALL(".f.hit") ".length > 0 && "
													    "/^in [0-9]+ stacks$/.test(" BY_ID(
														    "hits") ".textContent)\n" TYPE("search",
														    "")
														    ALL(".f.hit") ".length === 0\n"
																  "(window.before = " ALL(
																	  ".f") "[4].style.width, "
																		"document.querySelector('[data-unit=calls]').click(), true)\n" ALL(
																			".f") "[4].style.width !== window.before\n"
																			      "document.querySelector('[aria-pressed=true]').dataset.unit === 'calls'\n");
	made_fini(&made);
}
END_TEST

START_TEST(the_keyboard_goes_wherever_the_mouse_goes)
{
	require_browser();
	made_init(&made, 200, 1, 1);
	browse("(" ALL(".f[tabindex=\"0\"]") "[0].focus(), " ALL(
		".f[tabindex=\"0\"]") ".length === 1)\n"
				      "(" PRESS("ArrowDown") ", " PRESS(
					      "ArrowDown") ", " PRESS("ArrowDown") ", "
										   "true)"
										   "\n"
										   "docum"
										   "ent."
										   "activ"
										   "eElem"
										   "ent."
										   "getAt"
										   "tribu"
										   "te('"
										   "aria-"
										   "level"
										   "') "
										   "=== "
										   "'4'\n"
										   "(wind"
										   "ow."
										   "first"
										   " = "
										   "docum"
										   "ent."
										   "activ"
										   "eElem"
										   "ent,"
										   " " PRESS(
											   "ArrowRight") ", "
													 "document.activeElement !== window.first && "
													 "document.activeElement.getAttribute('aria-level') === '4')\n"
													 "(" PRESS(
														 "ArrowLeft") ", document.activeElement === window.first)\n"
															      "(" PRESS("Enter") ", " ALL(
																      ".f.above") ".length === 3)\n"
																		  "document.activeElement.getAttribute('aria-level') === '4'\n"
																		  "(" PRESS("Escape") ", " ALL(
																			  ".f.above") ".length === 0)\n"
																				      "document.activeElement.getAttribute('aria-level') === '1'\n");
	made_fini(&made);
}
END_TEST

START_TEST(findings_are_filtered_and_links_open_them)
{
	require_browser();
	made_init(&made, 200, 1, 1);
	browse("[..." ALL(".finding") "].every((one) => !one.hidden && !one.open)\n"
				      "(" BY_ID("filter") ".value = 'Fails ' + " ALL(".fi"
										     "ndi"
										     "ng") "[2].id.toUpperCase(), " BY_ID(
					      "filter") ".dispatchEvent(new "
							"Event('input')), true)\n"
							"[..." ALL(".finding:not([hidden]"
								   ")") "].length === 1\n"
									"document."
									"querySelector('."
									"finding:not(["
									"hidden])"
									"').id."
									"startsWith('"
									"leak-')\n"
									"/^1 of "
									"[0-9]+$/"
									".test(" BY_ID(
										"filtere"
										"d") ".te"
										     "xtC"
										     "ont"
										     "ent"
										     ")\n"
										     "(lo"
										     "cat"
										     "ion"
										     ".ha"
										     "sh "
										     "="
										     " " ALL(".f"
											     "in"
											     "di"
											     "n"
											     "g") "[0].id, true)\n" ALL(".finding") "[0]."
																    "open "
																    "&& "
																    "!" ALL(".finding") "[0].hidden\n");
	made_fini(&made);
}
END_TEST

START_TEST(hostile_names_are_text)
{
	require_browser();
	made_init(&made, 100, 1, 1);
	made_poison(&made);
	browse(ALL(".f") ".length > 50\n" ALL("b[a]") ".length === 0 && " ALL(
		"script") ".length === 2\n"
			  "document.querySelector('.what').textContent.startsWith('</"
			  "script><b a=')\n" TYPE("search", "</script>")
				  ALL(".f.hit") ".length > 0\n");
	made_fini(&made);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, the_graph_zooms_and_searches);
	tcase_add_test(tcase, the_keyboard_goes_wherever_the_mouse_goes);
	tcase_add_test(tcase, findings_are_filtered_and_links_open_them);
	tcase_add_test(tcase, hostile_names_are_text);
}

int main(void)
{
	return support_run("check_page", add);
}
