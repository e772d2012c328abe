/*
 * The check's batch once more in C: what the same work costs when a C compiler does it at -O2. Written by itself from
 * mm/usercopy.c and mm/slub.c of 6.1, for declared memory and for SLUB's structures, with the same freedom as the check
 * under test: word size, byte order, page size, offsets and regions of memory are known only at run time.
 *
 *     twin PARAMETERS MEMORY REQUESTS VERDICTS ROUNDS
 *
 * PARAMETERS is text, a name and its numbers a line; MEMORY holds the bytes of all regions; REQUESTS holds six
 * little-endian 64-bit words each: pointer, size, direction, stack pointer, frame pointer, base of `current`. The
 * verdicts of the last round go to VERDICTS, four words each: outcome (0 good, 1 bad, 2 unreadable), rule, offset,
 * size. Prints the nanoseconds of each round, one a line.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum outcome { GOOD, BAD, UNREADABLE };

enum rule {
	RULE_NONE, RULE_WRAPPED, RULE_NULL, RULE_STACK, RULE_VMALLOC, RULE_NO_AREA, RULE_SLAB, RULE_RED_ZONE,
	RULE_NOT_IN_SLAB, RULE_FOLIO, RULE_TEXT, RULE_LINEAR_TEXT,
};

struct request { uint64_t pointer, size, direction, stack_pointer, frame_pointer, current_base; };
struct verdict { uint64_t outcome, rule, offset, size; };

struct region { uint64_t start, end; const uint8_t *bytes; };
struct linear_map { uint64_t virtual, size, physical; };

enum declared_kind { DECLARED_STACK, DECLARED_SLAB, DECLARED_FOLIO, DECLARED_PAGES, DECLARED_AREA };
struct declared { uint64_t kind, start, end, stride, object_size, pad, useroffset, usersize; };

#define MOST 64

struct guest {
	uint64_t bits, big_endian, page_shift;
	uint64_t text_start, text_end, linear_text_start, linear_text_end;
	uint64_t thread_size, task_stack, depth_of_check, depth_of_print;
	uint64_t introspects, vmalloc_start, vmalloc_end, vmap_root;
	uint64_t va_start, va_end, rb_node, rb_left, rb_right;
	uint64_t mem_section, section_size, section_map, section_usage, subsection_map, section_bits, physical_bits;
	uint64_t has_mem_map, is_early;
	uint64_t vmemmap, page_size, page_flags, compound_head, head_mask, slab_mask, order, slab_cache;
	uint64_t cache_size, cache_flags, cache_pad, cache_useroffset, cache_usersize, red_zone, debug_enabled;
	uint64_t mask;
	struct region regions[MOST];
	struct linear_map maps[MOST];
	struct declared declared[MOST];
	unsigned int region_count, map_count, declared_count;
};

struct reader { const struct guest *guest; bool failed; };

static const uint8_t *find(const struct guest *guest, uint64_t address, unsigned int size)
{
	for (unsigned int i = 0; i < guest->region_count; i++) {
		const struct region *region = &guest->regions[i];

		if (address >= region->start && address < region->end && region->end - address >= size)
			return region->bytes + (address - region->start);
	}
	return NULL;
}

/* An unsigned number of guest memory; 0 and `failed` where there is none. */
static uint64_t load(struct reader *reader, uint64_t address, unsigned int size)
{
	const uint8_t *bytes = find(reader->guest, address & reader->guest->mask, size);
	uint64_t value = 0;

	if (!bytes) {
		reader->failed = true;
		return 0;
	}
	memcpy(&value, bytes, size);
	return reader->guest->big_endian ? __builtin_bswap64(value) >> (64 - 8 * size) : value;
}

static uint64_t load_word(struct reader *reader, uint64_t address)
{
	return load(reader, address, reader->guest->bits / 8);
}

static struct verdict refuse(enum rule rule, uint64_t offset, uint64_t size)
{
	return (struct verdict){ BAD, rule, offset, size };
}

static const struct verdict good = { GOOD, RULE_NONE, 0, 0 };
static const struct verdict unreadable = { UNREADABLE, RULE_NONE, 0, 0 };

static const struct declared *declared_at(const struct guest *guest, uint64_t address)
{
	for (unsigned int i = 0; i < guest->declared_count; i++) {
		const struct declared *one = &guest->declared[i];

		if (one->kind != DECLARED_STACK && address >= one->start && address < one->end)
			return one;
	}
	return NULL;
}

/* Returns true when the stack settles the question. */
static bool judge_stack(struct reader *reader, const struct request *request, struct verdict *verdict)
{
	const struct guest *guest = reader->guest;
	uint64_t end = (request->pointer + request->size) & guest->mask;
	uint64_t stack = 0, stack_end = 0;
	bool known = false;

	for (unsigned int i = 0; i < guest->declared_count && !known; i++) {
		if (guest->declared[i].kind != DECLARED_STACK)
			continue;
		stack = guest->declared[i].start;
		stack_end = guest->declared[i].end;
		known = end > stack && request->pointer < stack_end;
	}
	if (!known && guest->introspects) {
		stack = load_word(reader, request->current_base + guest->task_stack);
		if (reader->failed) {
			*verdict = unreadable;
			return true;
		}
		stack_end = (stack + guest->thread_size) & guest->mask;
		known = end > stack && request->pointer < stack_end;
	}
	if (!known)
		return false;
	*verdict = good;
	if (request->pointer < stack || end > stack_end ||
	    request->pointer < ((request->stack_pointer - guest->depth_of_check) & guest->mask))
		*verdict = refuse(RULE_STACK,
				  (request->stack_pointer - guest->depth_of_print - request->pointer) & guest->mask,
				  request->size);
	return true;
}

static struct verdict judge_window(uint64_t offset, uint64_t useroffset, uint64_t usersize, uint64_t size)
{
	if (offset >= useroffset && offset - useroffset <= usersize && size <= useroffset - offset + usersize)
		return good;
	return refuse(RULE_SLAB, offset, size);
}

static struct verdict judge_declared(const struct declared *one, const struct request *request)
{
	uint64_t offset = request->pointer - one->start;

	switch (one->kind) {
	case DECLARED_SLAB:
		offset %= one->stride;
		if (offset < one->pad)
			return refuse(RULE_RED_ZONE, offset, request->size);
		return judge_window(offset - one->pad, one->useroffset, one->usersize, request->size);
	case DECLARED_FOLIO:
		return request->size > one->end - request->pointer ? refuse(RULE_FOLIO, offset, request->size) : good;
	case DECLARED_AREA:
		return request->size > one->end - request->pointer ? refuse(RULE_VMALLOC, offset, request->size) : good;
	default:
		return good;
	}
}

static struct verdict judge_vmalloc(struct reader *reader, const struct request *request)
{
	const struct guest *guest = reader->guest;
	uint64_t node = load_word(reader, guest->vmap_root);

	for (int height = 0; node && height < 128 && !reader->failed; height++) {
		uint64_t area = node - guest->rb_node;
		uint64_t start = load_word(reader, area + guest->va_start);

		if (request->pointer < start) {
			node = load_word(reader, node + guest->rb_left);
			continue;
		}
		uint64_t end = load_word(reader, area + guest->va_end);

		if (request->pointer >= end) {
			node = load_word(reader, node + guest->rb_right);
			continue;
		}
		if (request->size > end - request->pointer)
			return refuse(RULE_VMALLOC, request->pointer - start, request->size);
		return good;
	}
	if (node || reader->failed)
		return unreadable;
	return refuse(RULE_NO_AREA, 0, request->size);
}

static bool frame_has_page(struct reader *reader, uint64_t physical)
{
	const struct guest *guest = reader->guest;
	uint64_t number = physical >> guest->section_bits;
	uint64_t word = guest->bits / 8;

	if (physical >> guest->physical_bits)
		return false;
	uint64_t roots = load_word(reader, guest->mem_section);

	if (!roots)
		return false;
	uint64_t per_root = (1ull << guest->page_shift) / guest->section_size;
	uint64_t root = load_word(reader, roots + number / per_root * word);

	if (!root)
		return false;
	uint64_t section = root + number % per_root * guest->section_size;
	uint64_t map = load_word(reader, section + guest->section_map);

	if (!(map & guest->has_mem_map))
		return false;
	if (map & guest->is_early)
		return true;
	uint64_t usage = load_word(reader, section + guest->section_usage);

	if (!usage)
		return false;
	uint64_t index = (physical & ((1ull << guest->section_bits) - 1)) >> 21;

	return load_word(reader, usage + guest->subsection_map + index / guest->bits * word) >> (index % guest->bits) & 1;
}

static struct verdict judge_slab(struct reader *reader, const struct request *request, uint64_t page, uint64_t start)
{
	const struct guest *guest = reader->guest;
	uint64_t cache = load_word(reader, page + guest->slab_cache);

	if (request->pointer < start)
		return refuse(RULE_NOT_IN_SLAB, 0, request->size);
	uint32_t size = load(reader, cache + guest->cache_size, 4);

	if (reader->failed || !size)
		return unreadable;
	uint32_t offset = (request->pointer - start) % size;

	if (load(reader, guest->debug_enabled, 4) && (load(reader, cache + guest->cache_flags, 4) & guest->red_zone)) {
		uint32_t pad = load(reader, cache + guest->cache_pad, 4);

		if (offset < pad)
			return refuse(RULE_RED_ZONE, offset, request->size);
		offset -= pad;
	}
	uint64_t useroffset = load(reader, cache + guest->cache_useroffset, 4);
	uint64_t usersize = load(reader, cache + guest->cache_usersize, 4);

	return reader->failed ? unreadable : judge_window(offset, useroffset, usersize, request->size);
}

static struct verdict judge_page(struct reader *reader, const struct request *request)
{
	const struct guest *guest = reader->guest;
	const struct linear_map *map = NULL;

	for (unsigned int i = 0; i < guest->map_count && !map; i++)
		if (request->pointer - guest->maps[i].virtual < guest->maps[i].size)
			map = &guest->maps[i];
	if (!map)
		return good;
	uint64_t physical = request->pointer - map->virtual + map->physical;
	bool has_page = frame_has_page(reader, physical);

	if (reader->failed)
		return unreadable;
	if (!has_page)
		return good;
	uint64_t page = guest->vmemmap + (physical >> guest->page_shift) * guest->page_size;
	uint64_t head = load_word(reader, page + guest->compound_head);

	if (head & 1)
		page = head - 1;
	uint64_t flags = load_word(reader, page + guest->page_flags);
	int64_t frame = (int64_t)(page - guest->vmemmap) / (int64_t)guest->page_size;
	uint64_t start = ((uint64_t)frame << guest->page_shift) - guest->maps[0].physical + guest->maps[0].virtual;

	if (reader->failed)
		return unreadable;
	if (flags & guest->slab_mask)
		return judge_slab(reader, request, page, start);
	if (!(flags & guest->head_mask))
		return good;
	uint64_t size = 1ull << guest->page_shift << load(reader, page + guest->order, 1);
	uint64_t offset = request->pointer - start;

	if (reader->failed)
		return unreadable;
	return request->size > size - offset ? refuse(RULE_FOLIO, offset, request->size) : good;
}

static bool overlaps(const struct guest *guest, const struct request *request, uint64_t low, uint64_t high)
{
	uint64_t end = (request->pointer + request->size) & guest->mask;

	return request->pointer < high && end > low;
}

static struct verdict judge(const struct guest *guest, const struct request *request)
{
	struct reader reader = { guest, false };
	struct verdict verdict;
	uint64_t pointer = request->pointer, size = request->size;

	if (!size)
		return good;
	if (((pointer + size - 1) & guest->mask) < pointer)
		return refuse(RULE_WRAPPED, 0, (pointer + size) & guest->mask);
	if (pointer <= 16)
		return refuse(RULE_NULL, pointer, size);
	if (judge_stack(&reader, request, &verdict))
		return verdict;

	const struct declared *one = declared_at(guest, pointer);

	if (one)
		verdict = judge_declared(one, request);
	else if (!guest->introspects)
		verdict = good;
	else if (pointer >= guest->vmalloc_start && pointer < guest->vmalloc_end)
		verdict = judge_vmalloc(&reader, request);
	else
		verdict = judge_page(&reader, request);
	if (verdict.outcome != GOOD)
		return verdict;

	if (overlaps(guest, request, guest->text_start, guest->text_end))
		return refuse(RULE_TEXT, (pointer - guest->text_start) & guest->mask, size);
	if (overlaps(guest, request, guest->linear_text_start, guest->linear_text_end))
		return refuse(RULE_LINEAR_TEXT, (pointer - guest->linear_text_start) & guest->mask, size);
	return good;
}

#define NAMED(field) { #field, offsetof(struct guest, field) }

static const struct { const char *name; size_t at; } names[] = {
	NAMED(bits), NAMED(big_endian), NAMED(page_shift), NAMED(text_start), NAMED(text_end),
	NAMED(linear_text_start), NAMED(linear_text_end), NAMED(thread_size), NAMED(task_stack),
	NAMED(depth_of_check), NAMED(depth_of_print), NAMED(introspects), NAMED(vmalloc_start), NAMED(vmalloc_end),
	NAMED(vmap_root), NAMED(va_start), NAMED(va_end), NAMED(rb_node), NAMED(rb_left), NAMED(rb_right),
	NAMED(mem_section), NAMED(section_size), NAMED(section_map), NAMED(section_usage), NAMED(subsection_map),
	NAMED(section_bits), NAMED(physical_bits), NAMED(has_mem_map), NAMED(is_early), NAMED(vmemmap),
	NAMED(page_size), NAMED(page_flags), NAMED(compound_head), NAMED(head_mask), NAMED(slab_mask), NAMED(order),
	NAMED(slab_cache), NAMED(cache_size), NAMED(cache_flags), NAMED(cache_pad), NAMED(cache_useroffset),
	NAMED(cache_usersize), NAMED(red_zone), NAMED(debug_enabled),
};

static void die(const char *what, const char *name)
{
	fprintf(stderr, "twin: %s: %s\n", what, name);
	exit(2);
}

static void *read_whole(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	void *bytes;

	if (!file || fseek(file, 0, SEEK_END))
		die("cannot open", path);
	*size = ftell(file);
	rewind(file);
	bytes = malloc(*size + 8);
	if (!bytes || fread(bytes, 1, *size, file) != *size)
		die("cannot read", path);
	fclose(file);
	return bytes;
}

static unsigned int numbers_of(char *line, uint64_t *numbers, unsigned int most)
{
	unsigned int count = 0;

	for (char *word = strtok(line, " \n"); word && count < most; word = strtok(NULL, " \n"))
		numbers[count++] = strtoull(word, NULL, 0);
	return count;
}

static void parse_line(struct guest *guest, const char *name, char *rest, const uint8_t *memory, size_t memory_size)
{
	uint64_t n[8] = { 0 };

	numbers_of(rest, n, 8);
	if (!strcmp(name, "region")) {
		if (guest->region_count == MOST || n[2] > memory_size || n[1] > memory_size - n[2])
			die("a region that does not fit", name);
		guest->regions[guest->region_count++] = (struct region){ n[0], n[0] + n[1], memory + n[2] };
	} else if (!strcmp(name, "linear_map")) {
		if (guest->map_count == MOST)
			die("too many", name);
		guest->maps[guest->map_count++] = (struct linear_map){ n[0], n[1], n[2] };
	} else if (!strcmp(name, "declared")) {
		if (guest->declared_count == MOST)
			die("too many", name);
		memcpy(&guest->declared[guest->declared_count++], n, sizeof n);
	} else {
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			if (strcmp(name, names[i].name))
				continue;
			memcpy((char *)guest + names[i].at, n, sizeof *n);
			return;
		}
		die("unknown parameter", name);
	}
}

/* The guest that a file of parameters describes, over the bytes of all its regions. */
static void read_guest(struct guest *guest, const char *parameters, const char *memory_path)
{
	char line[512], name[64];
	size_t memory_size;
	int at;
	const uint8_t *memory = read_whole(memory_path, &memory_size);
	FILE *file = fopen(parameters, "r");

	if (!file)
		die("cannot open", parameters);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "%63s%n", name, &at) == 1)
			parse_line(guest, name, line + at, memory, memory_size);
	fclose(file);
	guest->mask = guest->bits == 64 ? UINT64_MAX : UINT32_MAX;
}

#ifndef TWIN_WITHOUT_MAIN
static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(int argc, char **argv)
{
	static struct guest guest;
	size_t size;

	if (argc != 6)
		die("expected PARAMETERS MEMORY REQUESTS VERDICTS ROUNDS", argv[0]);
	read_guest(&guest, argv[1], argv[2]);

	const struct request *requests = read_whole(argv[3], &size);
	size_t count = size / sizeof *requests;
	struct verdict *verdicts = calloc(count + 1, sizeof *verdicts);

	if (!verdicts)
		die("no memory for the verdicts of", argv[3]);
	for (long round = strtol(argv[5], NULL, 10); round > 0; round--) {
		uint64_t start = now();

		for (size_t i = 0; i < count; i++)
			verdicts[i] = judge(&guest, &requests[i]);
		printf("%llu\n", (unsigned long long)(now() - start));
	}
	FILE *file = fopen(argv[4], "wb");

	if (!file || fwrite(verdicts, sizeof *verdicts, count, file) != count || fclose(file))
		die("cannot write", argv[4]);
	return 0;
}
#endif
