/** Memory that is used again: whoever still holds it sees nothing of what comes after. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { giveRoomBack, takeRoom } from "../../../gateway/models/http1/rooms.ts";

const bytes = 65_000;

test("a room that was given back is the next one, and is gone for those who held it", () => {
  const first = takeRoom(bytes);
  assert.equal(first.length, bytes);
  const view = first.subarray(10, 20);
  first.fill(1);
  giveRoomBack(first);
  assert.equal(first.length, 0);
  assert.equal(view.length, 0);
  const second = takeRoom(bytes - 100);
  assert.equal(second.length, bytes - 100);
  assert.equal(second[0], 1, "the same memory");
  giveRoomBack(second.subarray(5));
  assert.equal(second.length, 0, "by a view of it");
});

test("what is no room, or was given back before, is left alone", () => {
  const small = takeRoom(100);
  const large = takeRoom(1_000_000);
  const own = Buffer.alloc(bytes, 2);
  for (const buffer of [small, large, own]) {
    const { length } = buffer;
    giveRoomBack(buffer);
    assert.equal(buffer.length, length);
  }
  const room = takeRoom(bytes);
  giveRoomBack(room);
  giveRoomBack(room);
  const [one, other] = [takeRoom(bytes), takeRoom(bytes)];
  assert.notEqual(one.buffer, other.buffer);
});

test("only so much is kept", () => {
  const rooms = Array.from({ length: 100 }, () => takeRoom(bytes));
  for (const room of rooms) room.fill(3);
  for (const room of rooms) giveRoomBack(room);
  const kept = rooms.filter(({ length }) => length === 0).length;
  assert.ok(kept > 20 && kept * 65_536 <= 4 * 1024 * 1024, `${kept} of 100 are kept`);
  const again = Array.from({ length: 100 }, () => takeRoom(bytes));
  assert.equal(new Set(again.map(({ buffer }) => buffer)).size, 100);
});
