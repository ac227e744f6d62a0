/* SPDX-License-Identifier: MIT */
/*
 * bhi_landing_enter(landing, fn, arg, ret): the calling convention's preserved registers
 * go to the stack, the stack pointer to *landing. Returns 1 after fn has returned, with
 * its value in *ret. bhi_landing_pad returns 0 in its place, given the same stack pointer.
 * The control words of the floating-point units are preserved too.
 */
#if defined(__x86_64__)

	.text
	.globl bhi_landing_enter
	.hidden bhi_landing_enter
	.type bhi_landing_enter, @function
	.p2align 4
bhi_landing_enter:
	.cfi_startproc
	pushq %rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq %r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq %r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq %r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq %r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	pushq %rcx
	.cfi_adjust_cfa_offset 8
	subq $16, %rsp
	.cfi_adjust_cfa_offset 16
	stmxcsr (%rsp)
	fnstcw 4(%rsp)
	movq %rsp, (%rdi)
	movq %rdx, %rdi
	call *%rsi
	movq 16(%rsp), %rcx
	movl %eax, (%rcx)
	movl $1, %eax
.Lrestore:
	addq $24, %rsp
	.cfi_adjust_cfa_offset -24
	popq %r15
	.cfi_adjust_cfa_offset -8
	popq %r14
	.cfi_adjust_cfa_offset -8
	popq %r13
	.cfi_adjust_cfa_offset -8
	popq %r12
	.cfi_adjust_cfa_offset -8
	popq %rbx
	.cfi_adjust_cfa_offset -8
	popq %rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size bhi_landing_enter, . - bhi_landing_enter

	.globl bhi_landing_pad
	.hidden bhi_landing_pad
	.type bhi_landing_pad, @function
	.p2align 4
/* The stack pointer is the saved one; everything else is unknown. */
bhi_landing_pad:
	.cfi_startproc
	.cfi_def_cfa %rsp, 80
	.cfi_offset %rip, -8
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	cld
	emms
	ldmxcsr (%rsp)
	fldcw 4(%rsp)
	xorl %eax, %eax
	jmp .Lrestore
	.cfi_endproc
	.size bhi_landing_pad, . - bhi_landing_pad

	.globl bhi_landing_jump
	.hidden bhi_landing_jump
	.type bhi_landing_jump, @function
	.p2align 4
bhi_landing_jump:
	movq %rdi, %rsp
	jmp bhi_landing_pad
	.size bhi_landing_jump, . - bhi_landing_jump

#elif defined(__aarch64__)

	.text
	.globl bhi_landing_enter
	.hidden bhi_landing_enter
	.type bhi_landing_enter, %function
	.p2align 4
bhi_landing_enter:
	.cfi_startproc
	stp x29, x30, [sp, #-192]!
	.cfi_def_cfa_offset 192
	.cfi_offset x29, -192
	.cfi_offset x30, -184
	mov x29, sp
	stp x19, x20, [sp, #16]
	stp x21, x22, [sp, #32]
	stp x23, x24, [sp, #48]
	stp x25, x26, [sp, #64]
	stp x27, x28, [sp, #80]
	stp d8, d9, [sp, #96]
	stp d10, d11, [sp, #112]
	stp d12, d13, [sp, #128]
	stp d14, d15, [sp, #144]
	mrs x9, fpcr
	stp x3, x9, [sp, #160]
	mov x9, sp
	str x9, [x0]
	mov x0, x2
	blr x1
	ldr x3, [sp, #160]
	str w0, [x3]
	mov w0, #1
.Lrestore:
	ldp x19, x20, [sp, #16]
	ldp x21, x22, [sp, #32]
	ldp x23, x24, [sp, #48]
	ldp x25, x26, [sp, #64]
	ldp x27, x28, [sp, #80]
	ldp d8, d9, [sp, #96]
	ldp d10, d11, [sp, #112]
	ldp d12, d13, [sp, #128]
	ldp d14, d15, [sp, #144]
	ldp x29, x30, [sp], #192
	ret
	.cfi_endproc
	.size bhi_landing_enter, . - bhi_landing_enter

	.globl bhi_landing_pad
	.hidden bhi_landing_pad
	.type bhi_landing_pad, %function
	.p2align 4
/* The stack pointer is the saved one; everything else is unknown. */
bhi_landing_pad:
	.cfi_startproc
	.cfi_def_cfa sp, 192
	.cfi_offset x29, -192
	.cfi_offset x30, -184
	ldr x9, [sp, #168]
	msr fpcr, x9
	mov w0, #0
	b .Lrestore
	.cfi_endproc
	.size bhi_landing_pad, . - bhi_landing_pad

	.globl bhi_landing_jump
	.hidden bhi_landing_jump
	.type bhi_landing_jump, %function
	.p2align 4
bhi_landing_jump:
	mov sp, x0
	b bhi_landing_pad
	.size bhi_landing_jump, . - bhi_landing_jump

#else
#error "the landing pad is written for x86-64 and aarch64"
#endif

	.section .note.GNU-stack, "", %progbits
