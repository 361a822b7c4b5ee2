// What a connection of plain requests is doing. From `leaving` on it takes no more.

/** Nothing has come yet. */
export const fresh = 0;
export const inHead = 1;
export const inBody = 2;
/** The whole request is there. */
export const answering = 3;
/** Between two requests. */
export const idle = 4;
/** Nothing is read any more; what was written goes out, within a while. */
export const leaving = 5;
/** The last answer goes out. */
export const closing = 6;
export const over = 7;
