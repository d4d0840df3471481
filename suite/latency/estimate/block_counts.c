/* A QEMU plugin that says how often every translated block ran between two sched_yield calls of the emulated program.

   Argument: out=FILE. The program calls sched_yield right before and right after what is to be counted; the second call
   writes FILE, one line a block: its address, its runs, its instruction words, all but the runs in hexadecimal. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of QEMU's plugin interface, version 1, that is used here; Debian packages no header of it. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *counter, uint64_t step);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t,
                                          uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

#define PUBLIC __attribute__((visibility("default")))
#define SCHED_YIELD 124 /* the number of the system call on aarch64 Linux */
#define ADD 0           /* the only inline operation of version 1 */
#define BUCKETS 65536

PUBLIC int qemu_plugin_version = 1;

typedef struct Block {
    uint64_t address, runs, runs_before;
    size_t length;
    uint32_t *words;
    struct Block *next;
} Block;

static Block *buckets[BUCKETS];
static const char *out_path;
static int yields;

/* A block is translated again when QEMU's cache of translations was emptied, or when other code lies at its address. */
static Block *find_or_add(uint64_t address, size_t length, const uint32_t *words) {
    Block **bucket = &buckets[(address >> 2) % BUCKETS];
    for (Block *block = *bucket; block; block = block->next)
        if (block->address == address && block->length == length && !memcmp(block->words, words, 4 * length))
            return block;
    Block *block = calloc(1, sizeof *block);
    uint32_t *copy = malloc(4 * length);
    if (!block || !copy) abort();
    memcpy(copy, words, 4 * length);
    *block = (Block){.address = address, .length = length, .words = copy, .next = *bucket};
    return *bucket = block;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    size_t length = qemu_plugin_tb_n_insns(tb);
    uint32_t words[length];
    for (size_t place = 0; place < length; place++)
        memcpy(&words[place], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, place)), 4);
    Block *block = find_or_add(qemu_plugin_tb_vaddr(tb), length, words);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD, &block->runs, 1);
}

static void write_counts(void) {
    FILE *file = fopen(out_path, "w");
    if (!file) abort();
    for (size_t bucket = 0; bucket < BUCKETS; bucket++)
        for (Block *block = buckets[bucket]; block; block = block->next) {
            if (block->runs == block->runs_before) continue;
            fprintf(file, "%" PRIx64 " %" PRIu64, block->address, block->runs - block->runs_before);
            for (size_t place = 0; place < block->length; place++) fprintf(file, " %08" PRIx32, block->words[place]);
            fputc('\n', file);
        }
    if (fclose(file)) abort();
}

static void called(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != SCHED_YIELD) return;
    yields++;
    if (yields == 1)
        for (size_t bucket = 0; bucket < BUCKETS; bucket++)
            for (Block *block = buckets[bucket]; block; block = block->next) block->runs_before = block->runs;
    if (yields == 2) write_counts();
}

PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments) {
    (void)info;
    for (int place = 0; place < count; place++)
        if (!strncmp(arguments[place], "out=", 4)) out_path = strdup(arguments[place] + 4);
    if (!out_path) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
