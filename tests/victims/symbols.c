/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object with one function of every kind that a symbol table can hold: exported, hidden,
 * weak alias, static, assembly without size, assembly with size. */
static volatile int sink;

__attribute__((noinline)) static int hidden_helper(int x)
{
	sink = x;
	return x * 3;
}

__attribute__((noinline)) int exported_function(int x)
{
	return hidden_helper(x) + 1;
}

int weak_alias(int x) __attribute__((weak, alias("exported_function")));

__asm__(".text\n"
	".p2align 4\n"
	"label_without_size:\n"
	"	nop; nop; nop; nop\n"
	".globl sized_assembly\n"
	".type sized_assembly, @function\n"
	"sized_assembly:\n"
	"	nop; nop\n"
	".size sized_assembly, . - sized_assembly\n"
	"	nop; nop; nop; nop; nop; nop\n");
