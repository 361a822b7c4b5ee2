/** The passphrase scheme, against values that the CLI encrypted; and the guess at what should have been a secret. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { looksLikeSecret } from "../../engine/commands/secret-guess.ts";
import { createSecrets, openSecrets } from "../../engine/secrets.ts";

/** From the recording of `options`. */
const salt = "v1:1Ts73UgA+Cg=:v1:5ZqzOqr380GHGrNx:8RkuF4ldeZvoqPwDtXn8fly6pwZCQA==";
const planted = "v1:3e3uOEcST/5sIsQK:OCNfgfjv5h3jbFRWaHZEDj4U5yKOMerdl6u63oh7fam/";

test("what the CLI encrypted is read", async () => {
  const secrets = await openSecrets(salt, { PULUMI_CONFIG_PASSPHRASE: "x" });
  assert.equal(secrets.decrypt(planted), "my planted secret");
  assert.equal(secrets.salt, salt);
});

test("the passphrase may be in a file, with white space around it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "engine-secrets-"));
  try {
    writeFileSync(join(folder, "passphrase"), "  x \n");
    const secrets = await openSecrets(salt, { PULUMI_CONFIG_PASSPHRASE_FILE: join(folder, "passphrase") });
    assert.equal(secrets.decrypt(planted), "my planted secret");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a new salt opens again with the same passphrase only, also with an empty one", async () => {
  for (const PULUMI_CONFIG_PASSPHRASE of ["", "pâss wörd"]) {
    const made = await createSecrets({ PULUMI_CONFIG_PASSPHRASE });
    assert.match(made.salt, /^v1:[\w+/]{11}=:v1:[\w+/]{16}:[\w+/]+=*$/);
    const ciphertext = made.encrypt("text ✓");
    assert.equal((await openSecrets(made.salt, { PULUMI_CONFIG_PASSPHRASE })).decrypt(ciphertext), "text ✓");
    await assert.rejects(openSecrets(made.salt, { PULUMI_CONFIG_PASSPHRASE: "other" }), { message: "incorrect passphrase" });
  }
});

test("the same text is never encrypted to the same ciphertext", async () => {
  const secrets = await openSecrets(salt, { PULUMI_CONFIG_PASSPHRASE: "x" });
  assert.notEqual(secrets.encrypt("a"), secrets.encrypt("a"));
});

test("on a terminal the passphrase is asked for, twice where it is new", async () => {
  const asked: string[] = [];
  const ask = (answers: string[]) => async (prompt: string) => {
    asked.push(prompt.split("\n")[0] ?? "");
    return answers.shift() ?? "";
  };
  const secrets = await openSecrets(salt, { HOME: "unused" }, { ask: ask(["x"]) });
  assert.equal(secrets.decrypt(planted), "my planted secret");
  await assert.rejects(createSecrets({}, ask(["a", "b"])), /passphrases do not match/);
  assert.deepEqual(asked, [
    "Enter your passphrase to unlock config/secrets",
    "Enter your passphrase to protect config/secrets",
    "Re-enter your passphrase to confirm",
  ]);
});

test("keys are taken for secrets, words and names are not", () => {
  for (const value of ["xK9$2mQp8!vL", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "sk-proj-4fT9aB2cQxYz"]) {
    assert.ok(looksLikeSecret("p:apiToken", value), value);
    assert.ok(!looksLikeSecret("p:name", value), "the key's name says nothing of a secret");
  }
  for (const value of [
    "",
    "hunter2",
    "mypassword123",
    "prod-db-2",
    "https://auth.example.com/token",
    "/run/secrets/token",
    "true",
    "8",
  ]) {
    assert.ok(!looksLikeSecret("p:secretName", value), value);
  }
});
