/* keeper.c: fills every register that a program can see, the red zone below its stack
 * (x86-64), errno, the rounding modes and the signal mask, and loops in two instructions
 * until SIGUSR1; then says what is not as it was ("kept": all is). It has free memory to
 * trim. Vectors are as wide as the processor has them, or as the argument says. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __aarch64__
#include <sys/auxv.h>
#include <sys/prctl.h>

enum { VECTOR_MOST = 256, VECTORS = 32, WORDS = 31, PREDICATES = 16, SVE = 1 << 22 };

/* The offsets are known to the code below. A vector, and a predicate, begins where the
 * one before has its end. */
struct state {
	uint64_t word[WORDS + 1];		     /* 0 */
	uint64_t flags, unused[31];		     /* 256 */
	uint8_t vector[VECTORS * VECTOR_MOST];	     /* 512 */
	uint8_t predicate[PREDICATES * VECTOR_MOST]; /* 8704 */
	uint8_t faults[VECTOR_MOST];		     /* 12800 */
};

struct state put, got;
volatile int ended;

/* clang-format off */
#define UP_TO_16(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define UP_TO_32(X) \
	UP_TO_16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) \
	X(29) X(30) X(31)
/* x0 has the place, x9 and x10 the loop's. */
#define GENERAL(X) \
	X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) \
	X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30)
/* clang-format on */
#define LOAD_G(i)      "ldr x" #i ", [x0, 8*" #i "]\n"
#define SAVE_G(i)      "str x" #i ", [sp, 8*" #i "]\n"
#define LOAD_V(i)      "ldr q" #i ", [x1, 16*" #i "]\n"
#define SAVE_V(i)      "str q" #i ", [x1, 16*" #i "]\n"
#define LOAD_Z(i)      "ldr z" #i ", [x1, " #i ", mul vl]\n"
#define SAVE_Z(i)      "str z" #i ", [x1, " #i ", mul vl]\n"
#define LOAD_P(i)      "ldr p" #i ", [x2, " #i ", mul vl]\n"
#define SAVE_P(i)      "str p" #i ", [x2, " #i ", mul vl]\n"
#define PLACE(r, name) "adrp " #r ", " #name "\n add " #r ", " #r ", :lo12:" #name "\n"
#define PARTS(name)                                         \
	PLACE(x0, name)                                     \
	"add x1, x0, 512\n mov x2, 8704\n add x2, x0, x2\n" \
	"mov x3, 12800\n add x3, x0, x3\n"
#define CALLEES(do) \
	do          \
	" x19, x20, [sp, 16]\n" do " x21, x22, [sp, 32]\n" do " x23, x24, [sp, 48]\n" do " x25, x26, [sp, 64]\n" do " x27, x28, [sp, 80]\n" do " d8, d9, [sp, 96]\n" do " d10, d11, [sp, 112]\n" do " d12, d13, [sp, 128]\n" do " d14, d15, [sp, 144]\n"

#define LOOP(name, load, save)                                                         \
	void name(void);                                                               \
	__asm__(".text\n.arch_extension sve\n.type " #name ",%function\n" #name        \
		":\n.cfi_startproc\n"                                                  \
		"stp x29, x30, [sp, -176]!\n.cfi_def_cfa_offset 176\n"                 \
		".cfi_offset 29, -176\n.cfi_offset 30, -168\n" CALLEES(                \
			"stp") "sub sp, sp, 256\n.cfi_def_cfa_offset 432\n" PARTS(put) \
			load                                                           \
		"ldr x4, [x0, 256]\n msr nzcv, x4\n" GENERAL(LOAD_G)                   \
			PLACE(x9, ended) "ldr x0, [x0]\n"                              \
					 "1: ldr w10, [x9]\n cbz w10, 1b\n"            \
					 "str x0, [sp]\n" GENERAL(                     \
						 SAVE_G) "mrs x4, nzcv\n" PARTS(got)   \
						 save                                  \
		"str x4, [x0, 256]\n mov x1, 0\n"                                      \
		"2: ldr x2, [sp, x1]\n str x2, [x0, x1]\n"                             \
		"add x1, x1, 8\n cmp x1, 248\n b.ne 2b\n"                              \
		"add sp, sp, 256\n"                                                    \
		".cfi_def_cfa_offset 176\n" CALLEES(                                   \
			"ldp") "ldp x29, x30, [sp], 176\n"                             \
			       ".cfi_def_cfa_offset 0\n"                               \
			       ".cfi_restore 29\n.cfi_restore 30\n"                    \
			       "ret\n.cfi_endproc\n.size " #name ",.-" #name "\n")

LOOP(loop_plain, UP_TO_32(LOAD_V), UP_TO_32(SAVE_V));
LOOP(loop_scalable, "ptrue p0.b, vl3\n wrffr p0.b\n" UP_TO_32(LOAD_Z) UP_TO_16(LOAD_P),
     UP_TO_32(SAVE_Z) UP_TO_16(SAVE_P) "rdffr p0.b\n str p0, [x3]\n");

/* Upwards. */
static void set_rounding(void)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(UINT64_C(0x400000)));
}

static int rounds_up(void)
{
	uint64_t control;

	__asm__ volatile("mrs %0, fpcr" : "=r"(control));
	return control == 0x400000;
}

static int widest(void)
{
	return getauxval(AT_HWCAP) & SVE ? prctl(PR_SVE_GET_VL) & PR_SVE_VL_LEN_MASK : 16;
}

static void run(int width)
{
	put.flags = 0xa0000000;
	if (width > 16)
		loop_scalable();
	else
		loop_plain();
}

/* What the loop does not use its own way. */
static void even(void)
{
	got.word[9] = put.word[9];
	got.word[10] = put.word[10];
}

static const char *compare(int width)
{
	even();
	if (memcmp(put.word, got.word, sizeof(got.word[0]) * WORDS) != 0)
		return "general registers";
	if (put.flags != got.flags)
		return "flags";
	if (memcmp(put.vector, got.vector, (size_t)width * VECTORS) != 0)
		return "vectors";
	if (width > 16 &&
	    memcmp(put.predicate, got.predicate, (size_t)width / 8 * PREDICATES) != 0)
		return "predicates";
	if (width > 16 && (got.faults[0] != 7 || got.faults[1]))
		return "first faults";
	return NULL;
}

#else
enum { VECTOR = 64, VECTORS = 32, WORDS = 15, RED = 16, MASKS = 8 };

/* The offsets are known to the code below. */
struct state {
	uint64_t word[WORDS + 1];	 /* 0 */
	uint64_t red[RED];		 /* 128 */
	uint64_t mask[MASKS];		 /* 256 */
	uint8_t vector[VECTORS][VECTOR]; /* 320 */
};

struct state put, got;
volatile int ended;

/* clang-format off */
#define UP_TO_16(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define UP_TO_32(X) \
	UP_TO_16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) \
	X(29) X(30) X(31)
#define MASKS_1_TO_7(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define GENERAL(X) \
	X(rax, 0) X(rbx, 1) X(rcx, 2) X(rdx, 3) X(rsi, 4) X(rdi, 5) X(rbp, 6) X(r8, 7) X(r9, 8) \
	X(r10, 9) X(r11, 10) X(r12, 11) X(r13, 12) X(r14, 13) X(r15, 14)
/* clang-format on */
#define LOAD_G(r, i) "mov put+8*" #i "(%rip), %" #r "\n"
#define SAVE_G(r, i) "mov %" #r ", got+8*" #i "(%rip)\n"
#define LOAD_R(i)    "mov put+128+8*" #i "(%rip), %rax\n mov %rax, -128+8*" #i "(%rsp)\n"
#define SAVE_R(i)    "mov -128+8*" #i "(%rsp), %rax\n mov %rax, got+128+8*" #i "(%rip)\n"
#define LOAD_K(i)    "kmovq put+256+8*" #i "(%rip), %k" #i "\n"
#define SAVE_K(i)    "kmovq %k" #i ", got+256+8*" #i "(%rip)\n"
#define LOAD_Z(i)    "vmovdqu64 put+320+64*" #i "(%rip), %zmm" #i "\n"
#define SAVE_Z(i)    "vmovdqu64 %zmm" #i ", got+320+64*" #i "(%rip)\n"
#define LOAD_Y(i)    "vmovdqu put+320+64*" #i "(%rip), %ymm" #i "\n"
#define SAVE_Y(i)    "vmovdqu %ymm" #i ", got+320+64*" #i "(%rip)\n"
#define LOAD_X(i)    "movdqu put+320+64*" #i "(%rip), %xmm" #i "\n"
#define SAVE_X(i)    "movdqu %xmm" #i ", got+320+64*" #i "(%rip)\n"

#define LOOP(name, load, save)                                                         \
	void name(void);                                                               \
	__asm__(".text\n.type " #name ",@function\n" #name ":\n.cfi_startproc\n"       \
		"push %rbx\n.cfi_adjust_cfa_offset 8\n"                                \
		"push %rbp\n.cfi_adjust_cfa_offset 8\n"                                \
		"push %r12\n.cfi_adjust_cfa_offset 8\n"                                \
		"push %r13\n.cfi_adjust_cfa_offset 8\n"                                \
		"push %r14\n.cfi_adjust_cfa_offset 8\n"                                \
		"push %r15\n.cfi_adjust_cfa_offset 8\n" load UP_TO_16(LOAD_R) GENERAL( \
			LOAD_G) "1: cmpl $0, ended(%rip)\n je 1b\n" GENERAL(SAVE_G)    \
			UP_TO_16(SAVE_R) save "pop %r15\n.cfi_adjust_cfa_offset -8\n"  \
					      "pop %r14\n.cfi_adjust_cfa_offset -8\n"  \
					      "pop %r13\n.cfi_adjust_cfa_offset -8\n"  \
					      "pop %r12\n.cfi_adjust_cfa_offset -8\n"  \
					      "pop %rbp\n.cfi_adjust_cfa_offset -8\n"  \
					      "pop %rbx\n.cfi_adjust_cfa_offset -8\n"  \
					      "ret\n.cfi_endproc\n.size " #name        \
					      ",.-" #name "\n")

LOOP(loop_64, UP_TO_32(LOAD_Z) MASKS_1_TO_7(LOAD_K),
     UP_TO_32(SAVE_Z) MASKS_1_TO_7(SAVE_K) "vzeroupper\n");
LOOP(loop_32, UP_TO_16(LOAD_Y), UP_TO_16(SAVE_Y) "vzeroupper\n");
LOOP(loop_16, UP_TO_16(LOAD_X), UP_TO_16(SAVE_X));

/* Both of them: rounding upwards. */
static void set_rounding(void)
{
	uint32_t mxcsr = 0x5f80;
	uint16_t control = 0x0b7f;

	__asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(mxcsr), "m"(control));
}

static int rounds_up(void)
{
	uint32_t mxcsr;
	uint16_t control;

	__asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(control));
	return (mxcsr & 0x6000) == 0x4000 && (control & 0x0c00) == 0x0800;
}

static int widest(void)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512bw"))
		return 64;
	return __builtin_cpu_supports("avx2") ? 32 : 16;
}

static const char *compare(int width)
{
	int vectors = width == 64 ? VECTORS : 16;

	if (memcmp(put.word, got.word, WORDS * 8) != 0)
		return "general registers";
	if (memcmp(put.red, got.red, sizeof(put.red)) != 0)
		return "red zone";
	for (int i = 0; i < vectors; i++)
		if (memcmp(put.vector[i], got.vector[i], width) != 0)
			return "vectors";
	if (width == 64 && memcmp(put.mask + 1, got.mask + 1, 7 * 8) != 0)
		return "vector masks";
	return NULL;
}

static void run(int width)
{
	(width == 64 ? loop_64 : width == 32 ? loop_32 : loop_16)();
}

#endif

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void make_free_memory(void)
{
	enum { COUNT = 20000, BYTES = 1000 };
	static char *block[COUNT];

	for (int i = 0; i < COUNT; i++)
		block[i] = memset(malloc(BYTES), 1, BYTES);
	for (int i = 0; i < COUNT; i++)
		if (i % 50)
			free(block[i]);
}

int main(int argc, char **argv)
{
	int width = argc > 1 ? atoi(argv[1]) : widest();
	struct sigaction action = {.sa_handler = end};
	const char *lost;
	sigset_t mask, after;
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, stack_after;

	make_free_memory();
	for (size_t i = 0; i < sizeof(put); i++)
		((uint8_t *)&put)[i] = (uint8_t)(i * 167 + 13);
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGRTMIN + 7);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigaltstack(&stack, NULL);
	printf("ready %d\n", width);
	fflush(stdout);
	set_rounding();
	errno = 77;
	run(width);
	lost = errno != 77    ? "errno"
	       : !ended	      ? "flags"
	       : !rounds_up() ? "rounding"
			      : compare(width);
	sigprocmask(SIG_SETMASK, NULL, &after);
	sigaltstack(NULL, &stack_after);
	if (!lost && memcmp(&mask, &after, 8) != 0)
		lost = "signal mask";
	if (!lost && stack_after.ss_sp != stack.ss_sp)
		lost = "signal stack";
	printf("%s\n", lost ? lost : "kept");
	return lost != NULL;
}
