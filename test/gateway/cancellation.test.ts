// A client that leaves ends the upstream's work on every path, and counts as 499, not as the upstream's failure.
import { testCancellation } from "../support/cancellation-suite.ts";

testCancellation(100, 100);
