/** A look at the machine before anything is touched. */
export interface Subject {
  /** The clone's own folder. */
  clone: string;
  /** The stack's folder in it. */
  directory: string;
  stackFile: string;
}

export interface Finding {
  level: "warning" | "error";
  /** What is wrong and what to do. */
  message: string;
}

export interface Check {
  name: string;
  run(subject: Subject): Finding[] | Promise<Finding[]>;
}
