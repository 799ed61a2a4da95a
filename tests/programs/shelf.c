/* shelf.c: a library, with LIBRARY, that keeps books in a static table, three pages in
 * each, and what they say apart; without it, the program that loads the library named on
 * its command line and frees all that lies between the books. It says "ready". */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BOOKS = 800, PAGES = 3, BETWEEN = 3 * BOOKS };

#ifdef LIBRARY

typedef struct {
	char text[200];
} words;

struct page {
	long number;
	struct page *next;
	words *says;
	char margin[60];
};

struct book {
	char title[40];
	struct page *first;
};

static struct shelf {
	long count;
	struct {
		int place;
		struct book *const *volatile end;
		struct book *book[BOOKS];
	} row;
} shelf;

void fill(void (*between)(void));

static struct page *write_page(struct page *next, void (*between)(void))
{
	struct page *page = calloc(1, sizeof(*page));

	page->says = calloc(1, sizeof(*page->says));
	page->next = next;
	between();
	return page;
}

void fill(void (*between)(void))
{
	for (; shelf.count < BOOKS; shelf.count++) {
		struct book *book = calloc(1, sizeof(*book));

		for (int i = 0; i < PAGES; i++)
			book->first = write_page(book->first, between);
		shelf.row.book[shelf.count] = book;
	}
}

#else

static void *spilt[BETWEEN];
static int count;

static void between(void)
{
	spilt[count++] = malloc(3000);
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	void (*fill)(void (*)(void)) = NULL;

	if (library)
		*(void **)&fill = dlsym(library, "fill");
	if (!fill) {
		fprintf(stderr, "shelf: %s\n", dlerror());
		return 1;
	}
	fill(between);
	while (count)
		free(spilt[--count]);
	memset(spilt, 0, sizeof(spilt));
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

#endif
