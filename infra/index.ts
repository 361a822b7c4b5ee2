/** The Pulumi program: read the settings, build one target, export how to reach it. */
import { readSettings } from "./settings.ts";
import { findTarget, targets } from "./targets/index.ts";

const settings = readSettings(Object.keys(targets));
const deploy = findTarget(settings.target);
if (!deploy) throw new Error(`no target ${settings.target}`);

// What a target does not offer must be no output: named exports would be there, undefined.
export default await deploy(settings);
