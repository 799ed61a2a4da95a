/* holder.cc: structures that are each held by one known owner, among junk that is freed:
 * the chunks of each structure pin free memory. Reads "free NAME" on standard input, frees
 * that structure, and says "done". */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <pthread.h>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <vector>

/* The table of the tickets is large enough for a mapping of its own. */
enum { TICKETS = 500, TABLE = 100000, SESSIONS = 3000, NODES = 2000, LEAVES = 1500, ENTRIES = 1000, LEAKS = 700, CACHED = 400, PARCELS = 350 };

struct session {
	long id;
	void *buffer;
	char pad[24];
};

struct node {
	node *next, *previous;
	char text[72];
};

struct leaf {
	leaf *left, *right;
	long key;
	char pad[152];
};

struct shape {
	virtual ~shape() = default;
	char pad[200];
};

session *volatile sessions[SESSIONS];
node *list_head;
void **ticket_table;
leaf *tree_root;
/* Only their middle is pointed to, from a chunk; each has a label. */
struct parcel {
	char *label;
	char pad[120];
	char middle[120];
};
char **parcels;
std::map<int, std::string> names;
std::unordered_map<int, int> numbers;
std::vector<std::string> words;
std::vector<shape *> shapes;
thread_local char *thread_cache[CACHED];
static std::vector<void *> *junk;
static unsigned long seed = 1;

static unsigned draw(unsigned below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(seed >> 33) % below;
}

static void *keep(size_t bytes)
{
	void *data = malloc(bytes);

	memset(data, 1, bytes);
	return data;
}

/* What lies between the chunks that stay. */
static void spill()
{
	for (int i = 0; i < 3; i++)
		junk->push_back(keep(1100 + draw(900)));
}

static void insert(leaf *one)
{
	leaf **at = &tree_root;

	while (*at)
		at = one->key < (*at)->key ? &(*at)->left : &(*at)->right;
	*at = one;
}

static void cut(leaf *one)
{
	if (!one)
		return;
	cut(one->left);
	cut(one->right);
	free(one);
}

static void make_sessions()
{
	for (int i = 0; i < SESSIONS; i++) {
		session *one = static_cast<session *>(keep(sizeof(session)));

		one->buffer = i % 3 ? nullptr : keep(72);
		sessions[i] = one;
		spill();
	}
}

static void make_lists()
{
	for (int i = 0; i < NODES; i++) {
		node *one = static_cast<node *>(keep(sizeof(node)));

		one->next = list_head;
		one->previous = nullptr;
		if (list_head)
			list_head->previous = one;
		list_head = one;
		spill();
	}
	for (int i = 0; i < LEAVES; i++) {
		leaf *one = static_cast<leaf *>(keep(sizeof(leaf)));

		one->left = one->right = nullptr;
		one->key = draw(1 << 30);
		insert(one);
		spill();
	}
}

/* Room for all of them at once: a buffer that is larger than what is in it would hold
 * pointers of its former owner. */
static void make_containers()
{
	words.reserve(ENTRIES);
	shapes.reserve(ENTRIES);
	for (int i = 0; i < ENTRIES; i++) {
		names[i] = "name";
		spill();
		numbers[i] = i;
		spill();
		words.push_back("this is the word number " + std::to_string(1000 + i));
		spill();
		shapes.push_back(new shape);
		spill();
	}
}

static void make_parcels()
{
	parcels = static_cast<char **>(keep(PARCELS * sizeof(*parcels)));
	for (int i = 0; i < PARCELS; i++) {
		auto *one = static_cast<parcel *>(keep(sizeof(parcel)));

		one->label = static_cast<char *>(keep(136));
		parcels[i] = one->middle;
		spill();
	}
}

static void make_tickets()
{
	ticket_table = static_cast<void **>(keep(TABLE * sizeof(*ticket_table)));
	memset(ticket_table, 0, TABLE * sizeof(*ticket_table));
	for (int i = 0; i < TICKETS; i++) {
		ticket_table[200 * i] = keep(400);
		spill();
	}
}

static void make_leaks()
{
	for (int i = 0; i < LEAKS; i++) {
		char *volatile lost = static_cast<char *>(keep(300));

		lost = nullptr;
		(void)lost;
		spill();
	}
}

/* Nothing of the pointers that making things left behind on the stack. */
static void __attribute__((noinline)) wipe()
{
	volatile char area[64 << 10];

	for (size_t i = 0; i < sizeof(area); i++)
		area[i] = 0;
}

static void *worker(void *ready)
{
	char *volatile local[100];

	for (int i = 0; i < CACHED; i++)
		thread_cache[i] = static_cast<char *>(keep(600));
	for (auto &one : local)
		one = static_cast<char *>(keep(700));
	pthread_barrier_wait(static_cast<pthread_barrier_t *>(ready));
	for (;;)
		pause();
	return local[0];
}

static void free_named(const std::string &name)
{
	if (name == "sessions")
		for (auto &one : sessions) {
			free(one->buffer);
			free(one);
			one = nullptr;
		}
	if (name == "list")
		while (list_head) {
			node *next = list_head->next;

			free(list_head);
			list_head = next;
		}
	if (name == "tree")
		cut(tree_root);
	if (name == "names")
		names.clear();
	if (name == "shapes")
		for (shape *one : shapes)
			delete one;
}

int main()
{
	static pthread_barrier_t ready;
	pthread_t thread;
	char line[64];

	junk = new std::vector<void *>;
	junk->reserve(1 << 16);
	make_sessions();
	make_lists();
	make_containers();
	make_tickets();
	make_parcels();
	make_leaks();
	for (void *one : *junk)
		free(one);
	delete junk;
	wipe();
	pthread_barrier_init(&ready, nullptr, 2);
	pthread_create(&thread, nullptr, worker, &ready);
	pthread_barrier_wait(&ready);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "free ", 5) == 0)
			free_named(line + 5);
		puts("done");
		fflush(stdout);
	}
	return 0;
}
