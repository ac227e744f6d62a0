/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "words.h"

static const char *const libc_modules[] = {"libc.so*", "libc-2.*", "ld-linux*", "ld-2.*",
	"ld-musl*", "libpthread*", "libdl.so*", "librt.so*", "libm.so*", "libstdc++*",
	"libgcc_s*", "libjemalloc*", "libtcmalloc*", "libmimalloc*", NULL};

static const char *const wrappers[] = {"*alloc", "*alloc0", "*alloc2", "*alloc_*",
	"*allocate*", "*alloc[0-9]*", "*mallocz*", "*alloca", "*allocn", "*allocarray*",
	"*strdup*", "*strndup*", "*memdup*", "*memalign*", "*xmem*", "*realloc*",
	"*calloc*", "*malloc*", "operator new*", "_Zn[wa]*", "*asprintf*", NULL};

static const char *const callers_fault[] = {"mem*", "__mem*", "str*", "__str*", "wcs*",
	"wmem*", "*printf*", "*fortify_fail", "__chk_fail", "__stack_chk_fail", "abort",
	"raise", "gsignal", "*assert*", "*pthread_kill*", "kill", "tgkill", "free",
	"cfree", "realloc", "malloc", "calloc", "reallocarray", "malloc_usable_size",
	"pthread_mutex_*", "pthread_rwlock_*", "pthread_cond_*", "pthread_spin_*",
	"fputs*", "fputc*", "fgets*", "fgetc*", "fread*", "fwrite*", "fclose", "fflush*",
	"fseek*", "ftell*", "feof*", "ferror*", "fileno*", "getc*", "putc*", "ungetc",
	"setvbuf", "puts", "getline", "getdelim", "closedir", "readdir*", "dirfd",
	"qsort*", "bsearch", "atoi", "atol", "atof", "regfree", "regexec", "freeaddrinfo",
	"dlsym", "dlclose", "longjmp", "*longjmp*", "sem_*", "iconv", "freelocale",
	"uselocale", "time", "gmtime*", "localtime*", "mktime", "strftime*", "setenv",
	"putenv", NULL};

static const char *const reporters[] = {"*oom*", "*out_of_mem*", "*outofmem*",
	"*out*of*memory*", "*no_mem", "*nomem*", "*no_memory*", "*memory_exhaust*",
	"*memory_full*", "*mem_error*", "*memory_error*", "*memerror*", "*malloc_fail*",
	"*alloc_fail*", "*alloc_error*", "*xalloc_die*", "*panic*", "*fatal*", "die",
	"*_die", "die_*", "*bad_alloc*", "*std9terminate*", "std::terminate*",
	"*verbose_terminate*", "bulkhead_policy_abort", NULL};

static const char *const assertions[] = {
	"__assert*", "*assert_fail*", "*assertion*", "g_assert*", NULL};

static const char *const no_memory[] = {"out of memory", "outofmemory", "out-of-memory",
	"memory exhausted", "cannot allocate", "can't allocate", "could not allocate",
	"couldn't allocate", "failed to allocate", "unable to allocate",
	"not enough memory", "insufficient memory", "no memory", "no more memory",
	"memory allocation", "allocation failed", "malloc failed", "malloc failure",
	"failed to malloc", "virtual memory", "nomem", "not enough core",
	"allocation failure", "memoryerror", "memory error", "error allocating", NULL};

static const char *const assertion_words[] = {"assertion `", "assertion '",
	"assertion failed", "assertion failure", "assertion \"", NULL};

static const char *const corruption[] = {"free(): invalid", "free(): double free",
	"double free or corruption",
	"malloc(): ", "malloc_consolidate(): ", "munmap_chunk(): ", "realloc(): invalid",
	"corrupted size vs", "corrupted double-linked", "corrupted unsorted",
	"stack smashing detected", "buffer overflow detected", "sysmalloc: assertion",
	"tcache", "unlink_chunk", "mremap_chunk(): ", "heap corruption", NULL};

static const char *const language_ends[] = {"std::bad_alloc", "memory allocation of ",
	"terminate called after throwing an instance of 'std::bad",
	"runtime: out of memory", "fatal python error", NULL};

static bool matches(const char *const *globs, const char *name)
{
	for (; *globs; globs++) {
		if (!fnmatch(*globs, name, FNM_CASEFOLD))
			return true;
	}
	return false;
}

static bool starts_with(const char *text, size_t len, const char *word)
{
	size_t i;

	for (i = 0; i < len && word[i]; i++) {
		if (tolower((unsigned char)text[i]) != word[i])
			return false;
	}
	return !word[i];
}

static bool has_any(const char *text, size_t len, const char *const *words)
{
	for (; len; text++, len--) {
		for (const char *const *word = words; *word; word++) {
			if (starts_with(text, len, *word))
				return true;
		}
	}
	return false;
}

static bool has_name(const struct bhi_check_place *place, const char *const *globs)
{
	return place->function && matches(globs, place->function);
}

bool bhi_check_is_libc(const struct bhi_check_place *place)
{
	return matches(libc_modules, place->module);
}

bool bhi_check_is_wrapper(const struct bhi_check_place *place)
{
	return has_name(place, wrappers);
}

bool bhi_check_is_callers_fault(const struct bhi_check_place *place)
{
	return has_name(place, callers_fault);
}

bool bhi_check_is_reporter(const struct bhi_check_place *place)
{
	return has_name(place, reporters);
}

bool bhi_check_is_assertion(const struct bhi_check_place *place)
{
	return has_name(place, assertions);
}

bool bhi_check_says_no_memory(const char *text, size_t len)
{
	return has_any(text, len, no_memory);
}

bool bhi_check_says_assertion(const char *text, size_t len)
{
	return has_any(text, len, assertion_words);
}

bool bhi_check_says_corruption(const char *text, size_t len)
{
	return has_any(text, len, corruption);
}

bool bhi_check_says_language_end(const char *text, size_t len)
{
	return has_any(text, len, language_ends);
}
