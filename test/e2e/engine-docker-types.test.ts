/** The docker provider's types on the Docker of this machine. */
import { startDocker, whyNoDocker } from "../support/docker.ts";
import { dockerTypes } from "../support/docker-types-suite.ts";

dockerTypes("docker resources on a real daemon", whyNoDocker(), () => startDocker());
