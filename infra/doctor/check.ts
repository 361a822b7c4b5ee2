/** A look at the machine before anything is touched. */
export interface Subject {
  /** The clone's own folder. */
  clone: string;
  /** The stack's folder in it. */
  directory: string;
  stackFile: string;
  /** A secret of the stack's configuration, in clear; undefined where there is none of this name. */
  secret(key: string): Promise<string | undefined>;
}

export interface Finding {
  level: "warning" | "error";
  /** What is wrong and what to do. */
  message: string;
}

export interface Check {
  name: string;
  /** False where there was nothing to look at, such as a server that cannot be reached; left out: always. */
  looked?(subject: Subject): Promise<boolean>;
  run(subject: Subject): Finding[] | Promise<Finding[]>;
}
