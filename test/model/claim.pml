/*
 * The claim of knocks and replay memory (src/fleet/claim.ts, src/controller/replay): two servers, three knocks, of which each
 * server gets every one twice, crashes at every step, lost answers, and an engine that restarts empty.
 *
 * Knocks 0 and 1 are of a credential with once: group, and knock 2 of one with once: node.
 *
 * scripts/check-model.js searches it as a whole, and with each of these, which must be found to be wrong:
 *   CHECK_THEN_SET        the engine is asked, and told afterwards
 *   GRANT_BEFORE_CLAIM    the grant does not wait for the claim
 *   GRANT_BEFORE_JOURNAL  the grant does not wait for the disk
 *   TRUST_EMPTY_ENGINE    an engine that may have forgotten a claim is believed
 *   GRANT_WITHOUT_ANSWER  an answer that is lost counts as a claim
 */
#define SERVERS 2
#define KNOCKS 3
#define GROUP(k) ((k) < 2)

/* At the engine. Knocks are older than its restart, so it is unsure of all of them from then on. */
bool claimed[KNOCKS];
bool restarted = false;
/* On the disk of each server, and how often each has granted each knock. */
bool journal[SERVERS * KNOCKS];
byte granted[SERVERS * KNOCKS];
/* Over all servers together. */
byte crashesLeft = 2;

#define AT(k) (me * KNOCKS + (k))

inline grant(k) {
  granted[AT(k)]++;
  assert(granted[AT(k)] <= 1);
  assert(!GROUP(k) || granted[k] + granted[KNOCKS + k] <= 1)
}

/* Here the server may end. */
#define CRASH if :: skip :: d_step { crashesLeft > 0 -> crashesLeft-- } goto boot fi

/* Without what is left of this one, of which nothing depends: there are fewer states to search. */
#define NEXT k = 0; isFirst = false; isSure = false; goto receive

proctype Server(byte me) {
  bool known[KNOCKS];
  byte left[KNOCKS];
  byte k;
  bool isFirst;
  bool isSure;

  left[0] = 2; left[1] = 2; left[2] = 2;

boot: skip;
  /* What was in memory is lost, what was on the disk is not. */
  d_step {
    known[0] = journal[AT(0)]; known[1] = journal[AT(1)]; known[2] = journal[AT(2)];
    isFirst = false; isSure = false; k = 0
  }

receive:
  atomic {
    if
    :: left[0] > 0 -> k = 0
    :: left[1] > 0 -> k = 1
    :: left[2] > 0 -> k = 2
    :: left[0] + left[1] + left[2] == 0 -> goto done
    fi;
    left[k]--;
    if
    :: known[k] -> NEXT
    :: else -> known[k] = true
    fi;
    CRASH
  }
#ifdef GRANT_BEFORE_JOURNAL
  atomic {
    if
    :: !GROUP(k) -> grant(k); CRASH; journal[AT(k)] = true; NEXT
    :: else -> skip
    fi
  }
#endif
  atomic { journal[AT(k)] = true; CRASH }
  atomic {
    if
    :: !GROUP(k) -> grant(k); NEXT
    :: else -> skip
    fi
  }
#ifdef GRANT_BEFORE_CLAIM
  atomic { grant(k); CRASH }
#endif
#ifdef CHECK_THEN_SET
  isFirst = !claimed[k];
  atomic { claimed[k] = true; isSure = !restarted; CRASH }
#else
  atomic { isFirst = !claimed[k]; claimed[k] = true; isSure = !restarted; CRASH }
#endif
#ifdef GRANT_BEFORE_CLAIM
  atomic { NEXT };
#endif
  atomic {
#ifdef TRUST_EMPTY_ENGINE
    isSure = true;
#endif
    if
    :: skip
    :: /* The answer is lost, or late. */
#ifdef GRANT_WITHOUT_ANSWER
       isFirst = true
#else
       NEXT
#endif
    fi;
    if
    :: isFirst && isSure -> grant(k)
    :: else -> skip
    fi;
    CRASH;
    NEXT
  }

done:
  skip
}

proctype Engine() {
  if
  :: skip
  :: d_step { claimed[0] = false; claimed[1] = false; claimed[2] = false; restarted = true }
  fi
}

init {
  atomic {
    run Server(0);
    run Server(1);
    run Engine()
  }
}
