#include "view/owners.h"

#include "view/json_text.h"
#include "view/report_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	NAME = 2 * OWNER_NAME,
	TYPE_WIDTH = 44, /* of a type on a line of a path */
	SHARE_DECIMALS = 6,
};

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* A name that comes from a process, fit for a terminal. */
static const char *printable(const char *name, char buffer[NAME])
{
	struct text text;

	text_init(&text, buffer, NAME);
	text_printable(&text, name, OWNER_NAME);
	return buffer;
}

static void say_line(struct report_out *out, const char *lead, const char *line)
{
	text_string(&out->text, lead);
	text_printable(&out->text, line, SIZE_MAX);
	text_char(&out->text, '\n');
}

/* LEAD and a type, which in C++ can be as long as a page: its beginning. */
static void say_type(struct text *text, const char *lead, const char *type)
{
	size_t from;

	if (!*type)
		return;
	text_string(text, lead);
	from = text->length;
	text_printable(text, type, TYPE_WIDTH);
	if (strlen(type) > TYPE_WIDTH && text->length > from)
		text_string(text, "...");
}

/* The chunks whose owners were searched for. */
static uint64_t sought(const struct owners *owners)
{
	return owners->sampled_chunks ? owners->sampled_chunks : owners->asked_chunks;
}

static unsigned count_of(const struct owners *owners, const struct owners_about *about)
{
	return owners->count < about->top ? owners->count : about->top;
}

/* "25013 chunks of 48 bytes", "1 chunk of 512K", "12 chunks of 48 to 96 bytes". */
static void say_chunks(uint64_t chunks, uint64_t from, uint64_t to, char *text,
		       size_t size)
{
	const char *unit = to < 1024 ? " bytes" : "";

	if (from == to)
		snprintf(text, size, "%llu chunk%s of %s%s", (unsigned long long)chunks,
			 chunks == 1 ? "" : "s", BYTES(from), unit);
	else
		snprintf(text, size, "%llu chunks of %s to %s%s",
			 (unsigned long long)chunks, BYTES(from), BYTES(to), unit);
}

/* How the chunks of STEP are pointed to. */
static void say_way(const struct owner_step *step, bool from_root, char *text,
		    size_t size)
{
	const char *linked = step->is_linked ? ", linked with each other" : "";

	if (step->is_array)
		snprintf(text, size, ", from a table%s", linked);
	else if (from_root || !step->offset)
		snprintf(text, size, "%s", linked);
	else
		snprintf(text, size, ", by the pointer at +%llu%s",
			 (unsigned long long)step->offset, linked);
}

static void say_step(struct report_out *out, const struct owner *owner, unsigned i)
{
	const struct owner_step *step = &owner->step[i];
	char chunks[96], way[96], room[96] = "";

	say_chunks(step->chunks, step->from_bytes, step->to_bytes, chunks,
		   sizeof(chunks));
	say_way(step, i == 0, way, sizeof(way));
	if (step->chunks == 1 && i + 1 < owner->step_count)
		snprintf(room, sizeof(room), ": %llu words, %llu pointers",
			 (unsigned long long)step->words,
			 (unsigned long long)step->pointers);
	report_print(out, "      -> %s%s%s", chunks, way, room);
	say_type(&out->text, "\n         type: ", step->type);
	report_print(out, "\n");
	if (owner->steps_left_out && i + 1 == owner->step_count - OWNER_STEPS / 2)
		report_print(out, "      -> ... %u steps more ...\n",
			     owner->steps_left_out);
}

static void say_root(struct report_out *out, const struct owner *owner)
{
	char name[NAME], where[NAME];

	report_print(out, "      %s", printable(owner->name, name));
	if (owner->where[0])
		report_print(out, " (%s)", printable(owner->where, where));
	if (owner->root_slots > 1)
		report_print(out, ", %s pointers", COUNT(owner->root_slots));
	say_type(&out->text, "\n         type: ", owner->type);
	report_print(out, "\n");
}

void owners_line(const struct owner *owner, char *line, size_t size)
{
	struct text text;

	text_init(&text, line, size);
	text_printable(&text, owner->name, OWNER_NAME);
	if (owner->where[0]) {
		text_string(&text, " (");
		text_printable(&text, owner->where, OWNER_NAME);
		text_char(&text, ')');
	}
	for (unsigned i = 0; i < owner->step_count; i++) {
		const struct owner_step *step = &owner->step[i];
		char chunks[96];

		say_chunks(step->chunks, step->from_bytes, step->to_bytes, chunks,
			   sizeof(chunks));
		text_string(&text, i && i == owner->step_count - OWNER_STEPS / 2 &&
						   owner->steps_left_out
					   ? " -> ... -> "
					   : " -> ");
		text_string(&text, chunks);
		if (step->is_linked)
			text_string(&text, ", linked");
		say_type(&text, ", type ", step->type);
	}
}

struct units_text owners_weight(const struct owners *owners, const struct owner *owner)
{
	return owners->sampled_chunks ? units_share_text(owner->share)
				      : units_bytes_text(owner->unlocked_bytes);
}

/* How many of all chunks that are asked about OWNER is estimated to have. */
static uint64_t estimated(const struct owners *owners, const struct owner *owner)
{
	return (uint64_t)(owner->share * (double)owners->asked_chunks + 0.5);
}

/* Of what there is an estimate only. */
static void say_share(struct report_out *out, const struct owners *owners,
		      const struct owner *owner, unsigned number)
{
	report_print(out, "%2u. %s of these chunks (%.2f to %.2f%%), some %s\n", number,
		     SHARE(owner->share), 100 * owner->share_low, 100 * owner->share_high,
		     COUNT(estimated(owners, owner)));
}

static void say_forecast(struct report_out *out, const struct owner *owner,
			 unsigned number)
{
	const struct owner_step *last = &owner->step[owner->step_count - 1];
	char chunks[96];

	say_chunks(last->chunks, last->from_bytes, last->to_bytes, chunks,
		   sizeof(chunks));
	report_print(out, "%2u. %s would come back: %s, %s in all\n", number,
		     BYTES(owner->unlocked_bytes), chunks, BYTES(last->bytes));
}

static void say_owner(struct report_out *out, const struct owners *owners,
		      const struct owner *owner, unsigned number)
{
	const struct owner_step *last = &owner->step[owner->step_count - 1];
	char identity[NAME];

	if (owners->sampled_chunks)
		say_share(out, owners, owner, number);
	else
		say_forecast(out, owner, number);
	say_root(out, owner);
	for (unsigned i = 0; i < owner->step_count; i++)
		say_step(out, owner, i);
	if (owner->identity[0])
		report_print(out, "      one of them: %s\n",
			     printable(owner->identity, identity));
	if (owner->below_chunks)
		report_print(
			out,
			"      and with them %s chunks (%s) that only they lead to\n",
			COUNT(owner->below_chunks), BYTES(owner->below_bytes));
	if (owner->shared_chunks && !last->is_linked)
		report_print(out, "      other pointers lead to %s of them, too\n",
			     COUNT(owner->shared_chunks));
	if (owner->is_interior)
		report_print(out, "      less sure: the pointers are into the middle of "
				  "chunks\n");
	report_print(out, "\n");
	report_flush(out);
}

/* Where pointers lead to besides the beginnings of chunks. */
static void say_usual(struct report_out *out, uint64_t usual)
{
	const char *lead = "# pointers of this program often lead to";

	for (unsigned i = 1; i < 64; i++) {
		if (!(usual >> i & 1))
			continue;
		report_print(out, "%s %u", lead, i);
		lead = ",";
	}
	if (usual > 1)
		report_print(out, " bytes past the start of a chunk\n");
}

static void say_head(struct report_out *out, const struct owners *owners,
		     const struct owners_about *about)
{
	say_line(out, "# ", about->describe);
	report_print(out, "# searched %s in %s, with tables of %s\n",
		     BYTES(owners->scanned_bytes),
		     units_ns_text((uint64_t)owners->read_ns).s,
		     BYTES(owners->table_bytes));
	say_usual(out, owners->usual);
	if (owners->status == STATUS_PARTIAL)
		say_line(out, "# partial: ", owners->missing);
	if (owners->in_doubt_bytes)
		report_print(out, "# torn: %s could not be read as chunks\n",
			     BYTES(owners->in_doubt_bytes));
	report_print(out, "\n");
	if (about->live)
		report_print(out, "%s (%s) selected.\n",
			     COUNTED(owners->asked_chunks, "chunk"),
			     BYTES(owners->asked_bytes));
	else
		report_print(out,
			     "%s in use (%s) %s %s of free memory from going back.\n",
			     COUNTED(owners->asked_chunks, "chunk"),
			     BYTES(owners->asked_bytes),
			     owners->asked_chunks == 1 ? "keeps" : "keep",
			     BYTES(owners->pinned_bytes));
	if (owners->sampled_chunks)
		report_print(
			out,
			"A random sample of %s of them: the tables of all would take "
			"more memory.\n",
			COUNT(owners->sampled_chunks));
	report_print(out, "%s of them have an owner%s",
		     SHARE(share(owners->rooted_chunks, sought(owners))),
		     owners->unsure_chunks ? "" : ".\n\n");
	if (owners->unsure_chunks)
		report_print(out, "; %s more are unsure: their pointers changed.\n\n",
			     COUNT(owners->unsure_chunks));
}

static void write_text(struct report_out *out, const struct owners *owners,
		       const struct owners_about *about)
{
	unsigned count = count_of(owners, about);

	say_head(out, owners, about);
	for (unsigned i = 0; i < count; i++)
		say_owner(out, owners, &owners->owner[i], i + 1);
	if (owners->count + owners->left_out > count)
		report_print(out, "%u groups more, which hold less.\n",
			     owners->count + owners->left_out - count);
}

/* ---- JSON ---- */

static const char *root_name(enum owner_root root)
{
	static const char *const of[OWNER_ROOTS] = {
		[OWNER_GLOBAL] = "global", [OWNER_TLS] = "tls",
		[OWNER_STACK] = "stack",   [OWNER_MAPPING] = "mapping",
		[OWNER_FAR] = "far",	   [OWNER_UNREFERENCED] = "unreferenced",
	};

	return of[root];
}

static void json_steps(struct text *text, const struct owner *owner)
{
	json_key(text, "path", 4);
	text_char(text, '[');
	for (unsigned i = 0; i < owner->step_count; i++) {
		const struct owner_step *step = &owner->step[i];

		json_element(text);
		json_member_u64(text, "chunks", step->chunks);
		json_member_u64(text, "bytes", step->bytes);
		json_member_u64(text, "from_bytes", step->from_bytes);
		json_member_u64(text, "to_bytes", step->to_bytes);
		json_member_u64(text, "pointers", step->pointers);
		json_member_bool(text, "table", step->is_array);
		json_member_bool(text, "linked", step->is_linked);
		if (step->type[0])
			json_member_string(text, "type", step->type);
		/* In a root pointers of many places can be one step. */
		if (i && !step->is_array)
			json_member_u64(text, "offset", step->offset);
		text_char(text, '}');
	}
	text_char(text, ']');
}

static void json_share(struct text *text, const char *name, double value)
{
	json_key(text, name, strlen(name));
	text_fixed(text, value, SHARE_DECIMALS);
}

static void json_weight(struct text *text, const struct owners *owners,
			const struct owner *owner)
{
	if (owners->sampled_chunks) {
		json_share(text, "share", owner->share);
		json_share(text, "share_low", owner->share_low);
		json_share(text, "share_high", owner->share_high);
		return;
	}
	json_member_u64(text, "below_chunks", owner->below_chunks);
	json_member_u64(text, "below_bytes", owner->below_bytes);
	json_member_u64(text, "unlocked_bytes", owner->unlocked_bytes);
}

static void json_owner(struct text *text, const struct owners *owners,
		       const struct owner *owner)
{
	json_element(text);
	json_member_string(text, "root", root_name(owner->root));
	json_member_string(text, "name", owner->name);
	if (owner->where[0])
		json_member_string(text, "where", owner->where);
	if (owner->type[0])
		json_member_string(text, "type", owner->type);
	json_member_u64(text, "root_pointers", owner->root_slots);
	json_steps(text, owner);
	json_member_u64(text, "steps_left_out", owner->steps_left_out);
	if (owner->identity[0])
		json_member_string(text, "guess", owner->identity);
	json_member_bool(text, "interior", owner->is_interior);
	json_member_u64(text, "asked_chunks", owner->asked_chunks);
	json_member_u64(text, "asked_bytes", owner->asked_bytes);
	json_member_u64(text, "shared_chunks", owner->shared_chunks);
	json_weight(text, owners, owner);
	text_char(text, '}');
}

void owners_member(struct text *text, const struct owners *owners, unsigned count)
{
	json_key(text, "owners", 6);
	text_char(text, '[');
	for (unsigned i = 0; i < count && i < owners->count; i++)
		json_owner(text, owners, &owners->owner[i]);
	text_char(text, ']');
}

static void json_usual(struct text *text, uint64_t usual)
{
	const char *comma = "";

	json_key(text, "usual_offsets", strlen("usual_offsets"));
	text_char(text, '[');
	for (unsigned i = 0; i < 64; i++) {
		if (!(usual >> i & 1))
			continue;
		text_string(text, comma);
		text_u64(text, i);
		comma = ",";
	}
	text_char(text, ']');
}

static void write_json(struct report_out *out, const struct owners *owners,
		       const struct owners_about *about)
{
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{"live_chunks", owners->live_chunks},
		{"live_bytes", owners->live_bytes},
		{"pinned_bytes", owners->pinned_bytes},
		{"asked_chunks", owners->asked_chunks},
		{"asked_bytes", owners->asked_bytes},
		{"rooted_chunks", owners->rooted_chunks},
		{"rooted_bytes", owners->rooted_bytes},
		{"interior_chunks", owners->interior_chunks},
		{"unsure_chunks", owners->unsure_chunks},
		{"in_doubt_bytes", owners->in_doubt_bytes},
		{"scanned_bytes", owners->scanned_bytes},
		{"table_bytes", owners->table_bytes},
		{"read_ns", (uint64_t)owners->read_ns},
		{"groups_left_out",
		 owners->count + owners->left_out - count_of(owners, about)},
	};
	struct text *text = &out->text;

	text_char(text, '{');
	json_member_i64(text, "pid", about->pid);
	json_member_string(text, "comm", about->comm);
	if (about->time_ns)
		json_member_time(text, "time", about->time_ns);
	json_member_string(text, "status", sample_status_name(owners->status));
	if (owners->missing[0])
		json_member_string(text, "missing", owners->missing);
	if (owners->sampled_chunks)
		json_member_u64(text, "sampled_chunks", owners->sampled_chunks);
	for (unsigned i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		json_member_u64(text, figures[i].name, figures[i].value);
	json_usual(text, owners->usual);
	owners_member(text, owners, about->top);
	text_string(text, "}\n");
}

/* ---- paths ---- */

/* A name without what the format gives a meaning to. */
static void say_plain(struct report_out *out, const char *name, const char *special)
{
	char buffer[NAME];

	printable(name, buffer);
	for (char *at = buffer; (at = strpbrk(at, special)); at++)
		*at = '_';
	report_print(out, "%s", buffer);
}

static void say_label(struct report_out *out, const struct owner_step *step)
{
	char chunks[96];

	say_chunks(step->chunks, step->from_bytes, step->to_bytes, chunks,
		   sizeof(chunks));
	report_print(out, "%s%s", chunks, step->is_linked ? " linked" : "");
}

/* One line an owner: the path, and what would come back; of a sample, how many chunks
 * there are about. */
static void write_folded(struct report_out *out, const struct owners *owners,
			 const struct owners_about *about)
{
	for (unsigned i = 0; i < count_of(owners, about); i++) {
		const struct owner *owner = &owners->owner[i];

		say_plain(out, owner->name, ";");
		for (unsigned at = 0; at < owner->step_count; at++) {
			report_print(out, ";");
			say_label(out, &owner->step[at]);
		}
		report_print(out, " %llu\n",
			     (unsigned long long)(owners->sampled_chunks
							  ? estimated(owners, owner)
							  : owner->unlocked_bytes));
		report_flush(out);
	}
}

static void write_dot(struct report_out *out, const struct owners *owners,
		      const struct owners_about *about)
{
	report_print(out, "digraph owners {\n  rankdir=LR;\n  node [shape=box];\n");
	for (unsigned i = 0; i < count_of(owners, about); i++) {
		const struct owner *owner = &owners->owner[i];

		report_print(out, "  r%u [shape=ellipse, label=\"", i);
		say_plain(out, owner->name, "\"\\");
		report_print(out, "\"];\n");
		for (unsigned at = 0; at < owner->step_count; at++) {
			report_print(out, "  s%u_%u [label=\"", i, at);
			say_label(out, &owner->step[at]);
			report_print(out, "\"];\n");
			if (at)
				report_print(out, "  s%u_%u -> s%u_%u;\n", i, at - 1, i,
					     at);
			else
				report_print(out, "  r%u -> s%u_0;\n", i, i);
		}
		report_print(out, "  b%u [shape=plaintext, label=\"%s\"];\n", i,
			     owners_weight(owners, owner).s);
		report_print(out, "  s%u_%u -> b%u [style=dotted];\n", i,
			     owner->step_count - 1, i);
		report_flush(out);
	}
	report_print(out, "}\n");
}

int owners_write(const struct owners *owners, const struct owners_about *about,
		 enum owners_format format, int fd)
{
	static void (*const write[])(struct report_out *, const struct owners *,
				     const struct owners_about *) = {
		[OWNERS_TEXT] = write_text,
		[OWNERS_JSON] = write_json,
		[OWNERS_DOT] = write_dot,
		[OWNERS_FOLDED] = write_folded,
	};
	struct report_out *out = report_begin(fd);

	if (!out)
		return -ENOMEM;
	write[format](out, owners, about);
	return report_finish(out);
}
