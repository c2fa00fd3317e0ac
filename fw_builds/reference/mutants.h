/*
 * Faulty builds of the reference firmware, each a realistic product bug.
 *
 * `make MUTANT=RESULT_WRONG_KEY` builds one; without it MUTANT is NONE and every
 * MUTANT_IS() is a constant false, so the clean image holds no trace of them.
 */
#ifndef REFERENCE_MUTANTS_H
#define REFERENCE_MUTANTS_H

enum mutant {
	MUTANT_NONE = 0,
	/* results */
	MUTANT_RESULT_WRONG_KEY,        /* signed with the client key */
	MUTANT_RESULT_CHANGED_AFTER,    /* an output byte changed after signing */
	MUTANT_RESULT_NONCE_IGNORED,    /* a constant nonce is signed */
	MUTANT_RESULT_REPLAYED,         /* from the third request on, the second result is sent again */
	MUTANT_RESULT_COUNTER_REPEATS,  /* counter starts again after a warm reset */
	MUTANT_ECDSA_NONCE_REUSED,      /* one k for all signatures */
	/* attestation */
	MUTANT_BOOT_SEED_CONSTANT,
	MUTANT_ATTEST_OTHER_IMAGE,      /* NSPE measurement is not the running image's */
	MUTANT_INSTANCE_ID_NOT_KEYS,
	MUTANT_CLIENT_ID_POSITIVE,
	MUTANT_LIFECYCLE_WRONG,
	MUTANT_MODEL_NOT_MEASURED,
	/* model and numbers */
	MUTANT_MODEL_SWAPPED,           /* another model runs under the active one's id */
	MUTANT_REQUANT_ROUNDING,        /* one requantisation rounds down */
	MUTANT_WEIGHT_CHANGED,          /* one weight of the copy in RAM changed */
	MUTANT_SOFTMAX_OFF_BY_ONE,
	/* sensor path */
	MUTANT_SENSOR_NONSECURE,        /* I2C controller handed to, and read by, the non-secure side */
	MUTANT_SENSOR_STUCK,            /* the first value is reported for ever */
	MUTANT_PREVIOUS_WINDOW,         /* the window of the inference before is used */
	/* isolation */
	MUTANT_MPC_BLOCK_NONSECURE,     /* the window's MPC block is left non-secure */
	MUTANT_MODEL_READABLE,          /* the model copy's MPC blocks are left non-secure */
	MUTANT_NS_POINTER_UNCHECKED,
	MUTANT_KEY_IN_LOG,              /* private key bytes in a log line on UART0's peer, the secure log */
	/* update */
	MUTANT_ROLLBACK_ACCEPTED,
	MUTANT_UNSIGNED_MODEL_ACCEPTED,
	/* time and transport */
	MUTANT_TICKS_NOT_THE_WORK,      /* end ticks taken before the inference */
	MUTANT_FRAMES_LOST,             /* every 16th answer under load is not sent */
	MUTANT_COUNT
};

#ifndef MUTANT
#define MUTANT NONE
#endif
#define MUTANT_CONCAT_(a, b) a##b
#define MUTANT_CONCAT(a, b) MUTANT_CONCAT_(a, b)
#define MUTANT_IS(name) (MUTANT_CONCAT(MUTANT_, MUTANT) == MUTANT_##name)

#endif
