/* keeper.c: fills every register that a program can see, the red zone below its stack,
 * errno, the rounding modes and the signal mask, and loops in two instructions until
 * SIGUSR1; then says what is not as it was ("kept": all is). It has free memory to trim.
 * x86-64; vectors as wide as the processor has them, or as the argument says. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

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
	(width == 64 ? loop_64 : width == 32 ? loop_32 : loop_16)();
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
