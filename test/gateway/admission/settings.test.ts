// Settings of admission that name what is not there would be upstreams without limits: they are refused, with what there is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAdmission } from "../../../gateway/config/admission-rules.ts";
import { stackSchema } from "../../../gateway/config/stack.ts";

const check = (stack: object) => checkAdmission(stackSchema.parse(stack), ["vllm", "cloud"], ["block"]);

test("names of providers and of their models are right", () => {
  const stack = {
    admission: { upstreams: { vllm: { metrics: true }, "cloud/gpt": { maxConcurrent: 4 } } },
    quotas: { cloud: {} },
  };
  assert.deepEqual(check(stack), []);
});

test("others are refused, with their path and what there is", () => {
  const keys = [
    { id: "one", apiKey: "k" },
    { id: "one", apiKey: "l" },
  ];
  const faults = check({ admission: { upstreams: { vlm: {}, "cloud/": {} } }, quotas: { clowd: {}, cloud: { keys } } });
  assert.deepEqual(
    faults.map(({ path }) => path.join(".")),
    ["block.admission.upstreams.vlm", "block.admission.upstreams.cloud/", "block.quotas.clowd", "block.quotas.cloud.keys.1.id"],
  );
  assert.ok(faults.every(({ fix, problem }) => fix.length > 10 && problem.length > 10));
  assert.match(faults[0]?.fix ?? "", /there is vllm, cloud/);
});
