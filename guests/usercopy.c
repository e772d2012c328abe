/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's own hardened-usercopy check, which judges the one outside the guest: written from the rules of each
 * kernel, apart from it. The era is chosen while running. Both eras are inlined into __check_object_size(), because the
 * frames that check_stack_object() walks and the stack pointers that count are those of these two functions.
 */
enum usercopy_profile {
	/* The patch series of July 2016 (Kees Cook, "[PATCH v3 02/11] mm: Hardened usercopy" and the SLUB one). */
	USERCOPY_V3,
	/* The same with CMA pages allowed to be copied across, as went into 4.8. */
	USERCOPY_V3_CMA,
	/* Linux 6.1.192. */
	USERCOPY_6_1,
};

/* The host may change these between calls. */
unsigned int usercopy_profile = USERCOPY_6_1;
/* Whether arch_within_stack_frames() answers, as under CONFIG_FRAME_POINTER on x86. */
unsigned int usercopy_check_frames = FRAMES_CHECKED_BY_DEFAULT;
/* hardened_usercopy=off */
unsigned int bypass_usercopy_checks;

/* So that the host can ask BTF for the enumerators. */
__attribute__((used)) static const enum usercopy_profile newest_profile = USERCOPY_6_1;

enum stack_verdict {
	BAD_STACK = -1,
	NOT_STACK,
	GOOD_FRAME,
	GOOD_STACK,
};

#include "usercopy_stack.c"
#include "usercopy_2016.c"
#include "usercopy_6_1.c"

/** __check_object_size - BUG() unless [pointer, pointer + n) may be copied to (@to_user) or from user memory. */
__guest_entry void __check_object_size(const void *pointer, unsigned long n, bool to_user)
{
	if (usercopy_profile == USERCOPY_6_1)
		check_object_6_1((unsigned long)pointer, n, to_user);
	else
		check_object_2016((unsigned long)pointer, n, to_user);
}
