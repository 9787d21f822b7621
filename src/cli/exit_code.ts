/** What the shell is told. Interrupted and terminated follow its own convention, 128 + the signal's number. */
export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const;
