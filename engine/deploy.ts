/** Deployments of the user's program: the logic of a deployment on top of the servers that the program talks to. */
import { startSource } from "./monitor.ts";
import { createRunDeployment } from "./run-deployment.ts";

export const runDeployment = createRunDeployment(startSource);
