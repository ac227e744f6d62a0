/* SPDX-License-Identifier: MIT */
/*
 * The page of `bulkhead check` in a browser without a window: the graph, by mouse and by
 * keyboard, the search, the filter, and links to findings. Skipped where there is no
 * Chromium (scripts/setup dev has it) or python3.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_session.h"

#include "support.h"

/* What the expressions below are made of. */
static const char helpers[] =
	"location.protocol === 'file:' && document.readyState === 'complete'\n"
	"(window.by = (id) => document.getElementById(id), true)\n"
	"(window.all = (what) => [...document.querySelectorAll(what)], true)\n"
	"(window.type = (id, text) => { by(id).value = text; "
	"by(id).dispatchEvent(new Event('input')); return true; }, true)\n"
	"(window.press = (key) => { document.activeElement.dispatchEvent("
	"new KeyboardEvent('keydown', {key, bubbles: true})); return true; }, true)\n"
	"(window.level = () => document.activeElement.getAttribute('aria-level'), "
	"true)\n";

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
	dprintf(ask, "%s%s", helpers, expressions);
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
	browse("all('.f').length > 50\n"
	       "all('.f')[0].getAttribute('aria-label').startsWith('all: 200 stacks, ')\n"
	       "by('reset').disabled\n"
	       "(all('.f:not(.thin)')[5].click(), true)\n"
	       "!by('reset').disabled && all('.f.above').length > 0\n"
	       "by('about').textContent.includes('worst: ')\n"
	       "(by('reset').click(), true)\n"
	       "all('.f.above').length === 0\n"
	       "type('search', 'Parse_Value')\n"
	       "all('.f.hit').length > 0\n"
	       "/^in [0-9]+ stacks$/.test(by('hits').textContent)\n"
	       "type('search', '')\n"
	       "all('.f.hit').length === 0\n"
	       "(window.before = all('.f').map((box) => box.style.width).join(), true)\n"
	       "(all('[data-unit=calls]')[0].click(), true)\n"
	       "all('.f').map((box) => box.style.width).join() !== window.before\n"
	       "all('[aria-pressed=true]')[0].dataset.unit === 'calls'\n");
	made_fini(&made);
}
END_TEST

START_TEST(the_keyboard_goes_wherever_the_mouse_goes)
{
	require_browser();
	made_init(&made, 200, 1, 1);
	browse("all('.f[tabindex=\"0\"]').length === 1\n"
	       "(all('.f[tabindex=\"0\"]')[0].focus(), level() === '1')\n"
	       "press('ArrowDown') && press('ArrowDown') && press('ArrowDown')\n"
	       "level() === '4'\n"
	       "(window.first = document.activeElement, press('ArrowRight'))\n"
	       "document.activeElement !== window.first && level() === '4'\n"
	       "press('ArrowLeft') && document.activeElement === window.first\n"
	       "press('Enter') && all('.f.above').length === 3\n"
	       "level() === '4'\n"
	       "press('Escape') && all('.f.above').length === 0\n"
	       "level() === '1'\n");
	made_fini(&made);
}
END_TEST

START_TEST(findings_are_filtered_and_links_open_them)
{
	require_browser();
	made_init(&made, 200, 1, 1);
	browse("all('.finding').every((one) => !one.hidden && !one.open)\n"
	       "type('filter', 'Fails ' + all('.finding')[2].id.toUpperCase())\n"
	       "all('.finding:not([hidden])').length === 1\n"
	       "!all('.finding')[2].hidden\n"
	       "/^1 of [0-9]+$/.test(by('filtered').textContent)\n"
	       "(location.hash = all('.finding')[0].id, true)\n"
	       "all('.finding')[0].open && !all('.finding')[0].hidden\n");
	made_fini(&made);
}
END_TEST

/* What the page cannot draw must not keep it from what it can do. */
START_TEST(a_session_without_a_call_has_no_graph)
{
	static char *const command[] = {(char *)"true", NULL};

	require_browser();
	made = (struct made){
		.session = {.command = command, .mode = "once", .given = ""}};
	browse("(window.failed = 0, onerror = () => { window.failed++; }, true)\n"
	       "all('.f').length === 0\n"
	       "type('search', 'main')\n"
	       "(by('reset').click(), true)\n"
	       "type('search', '')\n"
	       "window.failed === 0\n");
	made_fini(&made);
}
END_TEST

START_TEST(hostile_names_are_text)
{
	require_browser();
	made_init(&made, 100, 1, 1);
	made_poison(&made);
	browse("all('.f').length > 50\n"
	       "all('b[a]').length === 0 && all('script').length === 2\n"
	       "all('.what')[0].textContent.startsWith('</script><b a=')\n"
	       "type('search', '</script>')\n"
	       "all('.f.hit').length > 0\n");
	made_fini(&made);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, the_graph_zooms_and_searches);
	tcase_add_test(tcase, the_keyboard_goes_wherever_the_mouse_goes);
	tcase_add_test(tcase, findings_are_filtered_and_links_open_them);
	tcase_add_test(tcase, a_session_without_a_call_has_no_graph);
	tcase_add_test(tcase, hostile_names_are_text);
}

int main(void)
{
	return support_run("check_page", add);
}
