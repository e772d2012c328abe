/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One layout for every architecture; the addresses come from arch/<arch>.h. */
#include ARCH_HEADER
#define PAGE_BYTES (1 << PAGE_SHIFT)

ENTRY(guest_init)

PHDRS {
	text PT_LOAD FLAGS(5);
	rodata PT_LOAD FLAGS(4);
	data PT_LOAD FLAGS(6);
}

SECTIONS {
	. = KIMAGE_VADDR;
	_text = .;
	.text : AT(ADDR(.text) - KIMAGE_VADDR + KIMAGE_PHYS) {
		_stext = .;
		*(.text .text.*)
		_etext = .;
	} :text

	. = ALIGN(PAGE_BYTES);
	__start_rodata = .;
	.rodata : AT(ADDR(.rodata) - KIMAGE_VADDR + KIMAGE_PHYS) {
		*(.rodata .rodata.*)
		. = ALIGN(PAGE_BYTES);
	} :rodata
	__end_rodata = .;

	.data : AT(ADDR(.data) - KIMAGE_VADDR + KIMAGE_PHYS) {
		_sdata = .;
		*(.data..init_stack)
		*(.data .data.* .sdata .sdata.*)
		_edata = .;
	} :data

	. = ALIGN(PAGE_BYTES);
	__bss_start = .;
	.bss : AT(ADDR(.bss) - KIMAGE_VADDR + KIMAGE_PHYS) {
		*(.bss .bss.* .sbss .sbss.* COMMON)
		. = ALIGN(PAGE_BYTES);
	} :data
	__bss_stop = .;
	_end = .;

	guest_image_size = ABSOLUTE(ALIGN(_end - _text, 0x200000));

	/DISCARD/ : { *(.comment) *(.note*) *(.eh_frame*) *(.ARM.attributes) *(.gnu.attributes) *(.MIPS.*) *(.reginfo) *(.pdr) }
}
