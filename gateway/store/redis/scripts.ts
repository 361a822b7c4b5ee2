// What Redis does in one step for the allowances: the rules of the authority in memory, in Lua. Times are Redis' own unless one is given.

/** Beginning of each script. ARGV[1]: the time in ms, or -1. */
const clock = `
local now = tonumber(ARGV[1])
if now < 0 then local t = redis.call('TIME'); now = t[1] * 1000 + math.floor(t[2] / 1000) end
local function text(n) return string.format('%.0f', n) end
local function share(left, need, want, spare)
  if need > left then return 0 end
  local spent = math.max(0, math.min(want, left))
  return spent + math.min(spare, math.floor((left - spent) / 8))
end
local function bucketEnd(time, windowMs)
  local step = math.max(1, math.floor(windowMs / 120))
  return math.ceil((time + windowMs) / step) * step
end
`;

const buckets = `
local function live(key)
  local all, list, used = redis.call('HGETALL', key), {}, 0
  for i = 1, #all, 2 do
    local stop, amount = tonumber(all[i]), tonumber(all[i + 1])
    if stop <= now then redis.call('HDEL', key, all[i])
    else used = used + amount; list[#list + 1] = { stop, amount } end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list, used
end
local function add(key, stop, amount)
  if stop <= now then return end
  local had = tonumber(redis.call('HGET', key, text(stop)))
  if had then amount = math.max(amount, -had) elseif amount <= 0 then return end
  redis.call('HINCRBY', key, text(stop), text(amount))
  local left = redis.call('PTTL', key)
  if left < stop - now then redis.call('PEXPIRE', key, text(stop - now)) end
end
`;

/** KEYS: the window. ARGV: now, limit, windowMs, need, want, spare, leaseMs. */
export const leaseWindow = `${clock}${buckets}
local limit, windowMs, need = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local leaseMs = tonumber(ARGV[7])
local list, used = live(KEYS[1])
local left = limit - used
local granted = share(left, need, tonumber(ARGV[5]), tonumber(ARGV[6]))
local stamp = bucketEnd(now + leaseMs, windowMs)
local last = #list > 0 and list[#list][1] or now
if granted > 0 then add(KEYS[1], stamp, granted); last = math.max(last, stamp) end
local wait = 0
if granted == 0 and need > 0 then
  if need > limit then wait = -1
  else
    local count = used
    for _, bucket in ipairs(list) do
      count = count - bucket[2]
      if count + need <= limit then wait = bucket[1] - now; break end
    end
  end
end
return { text(granted), text(stamp), text(left - granted), text(math.max(0, last - now)), text(wait) }
`;

/** KEYS: the window. ARGV: now, windowMs, delta, stamp. */
export const settleWindow = `${clock}${buckets}
local stamp = tonumber(ARGV[4])
if stamp == 0 then stamp = bucketEnd(now, tonumber(ARGV[2])) end
add(KEYS[1], stamp, tonumber(ARGV[3]))
return 0
`;

/** KEYS: the period. ARGV: now, limit, endsMs, need, want, spare, node, what this node spent of it before it first asked. */
export const leasePeriod = `${clock}
local endsMs, need = tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('HSETNX', KEYS[1], 'seed:' .. ARGV[7], ARGV[8]) == 1 then redis.call('HINCRBY', KEYS[1], 'used', ARGV[8]) end
local left = tonumber(ARGV[2]) - tonumber(redis.call('HGET', KEYS[1], 'used'))
local granted = share(left, need, tonumber(ARGV[5]), tonumber(ARGV[6]))
if granted > 0 then redis.call('HINCRBY', KEYS[1], 'used', text(granted)) end
local reset = math.max(0, endsMs - now)
redis.call('PEXPIRE', KEYS[1], text(math.min(reset + 86400000, 35000000000)))
local wait = 0
if granted == 0 and need > 0 then wait = reset end
return { text(granted), '0', text(left - granted), text(reset), text(wait) }
`;

/**
 * KEYS: the period. ARGV: now, delta, node. Where the node was never asked for what it spent, Redis has lost its memory:
 * the node's own record holds this as well, and comes with its next lease.
 */
export const settlePeriod = `${clock}
if redis.call('HEXISTS', KEYS[1], 'seed:' .. ARGV[3]) == 0 then return 0 end
local used = redis.call('HINCRBY', KEYS[1], 'used', ARGV[2])
if used < 0 then redis.call('HSET', KEYS[1], 'used', '0') end
return 0
`;

/** KEYS: the key, the holder's list of keys. ARGV: now, limit, need, want, spare, held, holder, heldMs. */
export const leaseConcurrent = `${clock}
local limit, need, held, holder = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6]), ARGV[7]
local heldMs = tonumber(ARGV[8])
local all, others = redis.call('HGETALL', KEYS[1]), 0
for i = 1, #all, 2 do
  if all[i] ~= holder then
    local count, stop = string.match(all[i + 1], '^(%d+):(%d+)$')
    if tonumber(stop) <= now then redis.call('HDEL', KEYS[1], all[i]) else others = others + tonumber(count) end
  end
end
local left = limit - others - held
local granted = share(left, need, tonumber(ARGV[4]), tonumber(ARGV[5]))
if held + granted > 0 then
  redis.call('HSET', KEYS[1], holder, text(held + granted) .. ':' .. text(now + heldMs))
  redis.call('PEXPIRE', KEYS[1], text(heldMs * 2))
  redis.call('SADD', KEYS[2], KEYS[1])
  redis.call('PEXPIRE', KEYS[2], text(heldMs * 2))
else
  redis.call('HDEL', KEYS[1], holder)
  redis.call('SREM', KEYS[2], KEYS[1])
end
local wait = 0
if granted == 0 and need > 0 then if need > limit then wait = -1 else wait = 1000 end end
return { text(granted), '0', text(left - granted), '0', text(wait) }
`;

/** KEYS: the holder's list of keys. ARGV: now, holder. */
export const dropHolder = `
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('HDEL', key, ARGV[2]) end
redis.call('DEL', KEYS[1])
return 0
`;
