// The same as in test/gateway/cancellation.test.ts with a thousand clients on each path.
import { testCancellation } from "../support/cancellation-suite.ts";

testCancellation(1000, 125);
