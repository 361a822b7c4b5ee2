// The reader of YAML, loaded when a config or its faults need it. A module of its own: of a package that is loaded by its name a bundle keeps no names.
export { isScalar, parseDocument, visit } from "yaml";
