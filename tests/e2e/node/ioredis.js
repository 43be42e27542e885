// ioredis, in normal and cluster mode. Usage: node ioredis.js PORT
'use strict';
const assert = require('assert');
const Redis = require('ioredis');

const port = Number(process.argv[2]);

async function use(client, name) {
  const key = (suffix) => `${name}:${suffix}`;
  assert.strictEqual(await client.set(key('string'), 'value'), 'OK');
  assert.strictEqual(await client.get(key('string')), 'value');
  assert.strictEqual(await client.get(key('none')), null);
  await client.del(key('hash'));
  await client.hset(key('hash'), 'a', 1, 'b', 2);
  assert.deepStrictEqual(await client.hgetall(key('hash')), { a: '1', b: '2' });
  const big = Buffer.alloc(600 * 1024, 0xcd);
  await client.set(key('big'), big);
  assert.ok(big.equals(await client.getBuffer(key('big'))));
  assert.strictEqual(await client.eval('return redis.call("get", KEYS[1])', 1, key('string')), 'value');
  const numbers = Array.from({ length: 1000 }, (_, index) => index);
  await Promise.all(numbers.map((index) => client.set(key(index), `value ${index}`)));
  const values = await Promise.all(numbers.map((index) => client.get(key(index))));
  assert.deepStrictEqual(values, numbers.map((index) => `value ${index}`));
  const pipeline = client.pipeline();
  for (const index of numbers) pipeline.get(`{${name}}:${index % 10}`);
  assert.ok((await pipeline.exec()).every(([error]) => error === null));
}

async function main() {
  const client = new Redis({ port, host: '127.0.0.1', connectionName: 'e2e', maxRetriesPerRequest: 1 });
  await use(client, 'ioredis');
  assert.deepStrictEqual(await client.mget('ioredis:1', 'ioredis:nothing', 'ioredis:2'), ['value 1', null, 'value 2']);
  assert.strictEqual(await client.del('ioredis:1', 'ioredis:2', 'ioredis:nothing'), 2);
  await client.quit();

  const cluster = new Redis.Cluster([{ port, host: '127.0.0.1' }]);
  await use(cluster, 'ioredis-cluster');
  assert.deepStrictEqual(cluster.nodes('all').map((node) => node.options.port), [port]);
  await cluster.quit();
  console.log('fine');
}

main().catch((error) => { console.error(error); process.exit(1); });
