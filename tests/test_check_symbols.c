/* SPDX-License-Identifier: MIT */
/* Places of this very program, and of what it is linked with. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "check/allocate.h"
#include "check/symbols.h"

#include "support.h"

/* A build for release has no line information. */
#ifdef NDEBUG
#define HAS_LINES false
#else
#define HAS_LINES true
#endif

BHI_NOINLINE static int nobody_exports_this(int x)
{
	return x * 3;
}

static uint64_t offset_of(const void *address, const char **ret_path)
{
	Dl_info info;

	ck_assert_int_ne(dladdr(address, &info), 0);
	*ret_path = info.dli_fname;
	return (uint64_t)((const char *)address - (const char *)info.dli_fbase);
}

START_TEST(a_static_function_has_its_name_and_line)
{
	struct bhi_check_symbols *symbols = bhi_check_symbols_new();
	struct bhi_check_place place;
	const char *path;
	uint64_t offset = offset_of((const void *)(uintptr_t)nobody_exports_this, &path);

	bhi_check_symbols_place(symbols, path, "b1", offset, true, &place);
	ck_assert_str_eq(place.function, "nobody_exports_this");
	ck_assert_str_eq(place.own_function, "nobody_exports_this");
	ck_assert_uint_eq(place.function_offset, 0);
	ck_assert_str_eq(place.build_id, "b1");
	ck_assert_str_eq(place.path, path);
	ck_assert_int_eq(place.file != NULL, HAS_LINES);
	ck_assert(!place.file || support_contains(place.file, "test_check_symbols.c"));
	ck_assert_int_eq(place.line > 0, HAS_LINES);
	/* What stands behind a call belongs to the call. */
	bhi_check_symbols_place(symbols, path, "b1", offset + 1, false, &place);
	ck_assert_str_eq(place.function, "nobody_exports_this");
	ck_assert_uint_eq(place.function_offset, 1);
	bhi_check_symbols_place(symbols, path, "b1", offset, false, &place);
	ck_assert(!place.function || strcmp(place.function, "nobody_exports_this"));
	bhi_check_symbols_free(symbols);
}
END_TEST

START_TEST(a_function_of_the_library_has_the_name_that_people_know)
{
	static const char *const names[] = {"strdup", "getline", "fopen", "qsort_r"};
	struct bhi_check_symbols *symbols = bhi_check_symbols_new();
	/* Its own: a sanitizer has functions of these names before it. */
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	ck_assert_ptr_nonnull(libc);
	for (size_t i = 0; i < bhi_array_size(names); i++) {
		struct bhi_check_place place;
		const char *path;
		uint64_t offset = offset_of(dlsym(libc, names[i]), &path);

		bhi_check_symbols_place(symbols, path, "", offset, true, &place);
		ck_assert_str_eq(place.module, "libc.so.6");
		ck_assert_str_eq(place.function, names[i]);
		ck_assert(!strchr(place.own_function, '@'));
	}
	dlclose(libc);
	bhi_check_symbols_free(symbols);
}
END_TEST

START_TEST(what_is_not_known_is_an_offset)
{
	struct bhi_check_symbols *symbols = bhi_check_symbols_new();
	struct bhi_check_place place;
	char name[64];

	bhi_check_symbols_place(symbols, "/no/such/lib.so", "", 0x123, false, &place);
	ck_assert_ptr_null(place.function);
	ck_assert_ptr_null(place.file);
	ck_assert_str_eq(
		bhi_check_place_name(&place, name, sizeof(name)), "lib.so+0x123");
	bhi_check_symbols_place(symbols, "/bin/sh", "", UINT64_C(1) << 40, true, &place);
	ck_assert_ptr_null(place.function);
	bhi_check_symbols_place(symbols, "/etc/passwd", "", 1, true, &place);
	ck_assert_ptr_null(place.function);
	bhi_check_symbols_free(symbols);
}
END_TEST

START_TEST(frames_are_looked_up_with_the_modules_of_their_run)
{
	struct bhi_check_shared *shared = bhi_check_alloc(1, sizeof(*shared));
	struct bhi_check_symbols *symbols = bhi_check_symbols_new();
	struct bhi_check_backtrace trace;
	bhi_check_frame frames[3];
	const char *path;
	uint64_t offset = offset_of((const void *)(uintptr_t)nobody_exports_this, &path);

	strncpy(shared->modules[7].path, path, sizeof(shared->modules[7].path) - 1);
	shared->modules[7].build_id_len = 2;
	shared->modules[7].build_id[0] = 0xab;
	shared->modules[7].build_id[1] = 0x01;
	frames[0] = UINT64_C(7) << 48 | offset;
	frames[1] = UINT64_C(7) << 48 | (offset + 1);
	frames[2] = (uint64_t)BHI_CHECK_NO_MODULE << 48;
	bhi_check_symbols_look_up(symbols, shared, frames, 3, true, &trace);
	ck_assert_uint_eq(trace.nr, 3);
	ck_assert_str_eq(trace.places[0].function, "nobody_exports_this");
	ck_assert_str_eq(trace.places[1].function, "nobody_exports_this");
	ck_assert_str_eq(trace.places[1].build_id, "ab01");
	ck_assert_ptr_null(trace.places[2].function);
	free(trace.places);
	bhi_check_symbols_free(symbols);
	free(shared);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_static_function_has_its_name_and_line);
	tcase_add_test(tcase, a_function_of_the_library_has_the_name_that_people_know);
	tcase_add_test(tcase, what_is_not_known_is_an_offset);
	tcase_add_test(tcase, frames_are_looked_up_with_the_modules_of_their_run);
}

int main(void)
{
	return support_run("check_symbols", add_tests);
}
