// node-redis, in normal and cluster mode, with RESP2. Usage: node node_redis.js PORT
'use strict';
const assert = require('assert');
const { createClient, createCluster, commandOptions } = require('redis');

const url = `redis://127.0.0.1:${process.argv[2]}`;

async function use(client, name) {
  client.on('error', (error) => { throw error; });
  await client.connect();
  const key = (suffix) => `${name}:${suffix}`;
  assert.strictEqual(await client.set(key('string'), 'value'), 'OK');
  assert.strictEqual(await client.get(key('string')), 'value');
  assert.strictEqual(await client.get(key('none')), null);
  await client.del(key('hash'));
  assert.strictEqual(await client.hSet(key('hash'), { a: '1', b: '2' }), 2);
  assert.deepStrictEqual({ ...(await client.hGetAll(key('hash'))) }, { a: '1', b: '2' });
  await client.del(key('zset'));
  await client.zAdd(key('zset'), [{ score: 1, value: 'x' }, { score: 2.5, value: 'y' }]);
  assert.deepStrictEqual(await client.zRangeWithScores(key('zset'), 0, -1),
                         [{ score: 1, value: 'x' }, { score: 2.5, value: 'y' }]);
  const big = Buffer.alloc(600 * 1024, 0xab);
  await client.set(key('big'), big);
  assert.ok(big.equals(await client.get(commandOptions({ returnBuffers: true }), key('big'))));
  const numbers = Array.from({ length: 1000 }, (_, index) => index);
  await Promise.all(numbers.map((index) => client.set(key(index), `value ${index}`)));
  const values = await Promise.all(numbers.map((index) => client.get(key(index))));
  assert.deepStrictEqual(values, numbers.map((index) => `value ${index}`));
  await client.quit();
}

async function main() {
  await use(createClient({ url, name: 'e2e' }), 'node-redis');
  await use(createCluster({ rootNodes: [{ url }] }), 'node-redis-cluster');
  const client = createClient({ url });
  await client.connect();
  await client.mSet({ 'node:m1': '1', 'node:m2': '2' });
  assert.deepStrictEqual(await client.mGet(['node:m1', 'node:none', 'node:m2']), ['1', null, '2']);
  const found = [];
  for await (const key of client.scanIterator({ MATCH: 'node-redis:*', COUNT: 500 })) found.push(key);
  assert.ok(new Set(found).size >= 1000);
  await client.quit();
  console.log('fine');
}

main().catch((error) => { console.error(error); process.exit(1); });
