/* hiredis: a pipeline over many slots, and values of all sizes. Usage: hiredis_client PORT */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char* what, const redisContext* context, const redisReply* reply) {
  fprintf(stderr, "%s: %s %s\n", what, context ? context->errstr : "", reply && reply->str ? reply->str : "");
  exit(1);
}

static void pipeline(redisContext* context) {
  const int count = 10000;
  char expected[32];
  redisReply* reply = NULL;
  for (int i = 0; i < count; ++i) {
    redisAppendCommand(context, "SET hiredis:%d %d", i, i);
    redisAppendCommand(context, "GET hiredis:%d", i);
  }
  for (int i = 0; i < count; ++i) {
    if (redisGetReply(context, (void**)&reply) != REDIS_OK || reply->type != REDIS_REPLY_STATUS) fail("SET", context, reply);
    freeReplyObject(reply);
    snprintf(expected, sizeof expected, "%d", i);
    if (redisGetReply(context, (void**)&reply) != REDIS_OK || reply->type != REDIS_REPLY_STRING ||
        strcmp(reply->str, expected) != 0) {
      fail("GET", context, reply);
    }
    freeReplyObject(reply);
  }
}

static void value_of(redisContext* context, size_t size) {
  char* value = malloc(size + 1);
  for (size_t i = 0; i < size; ++i) value[i] = (char)(i * 31 + i / 251);
  redisReply* reply = redisCommand(context, "SET %s %b", "hiredis:value", value, size);
  if (reply == NULL || reply->type != REDIS_REPLY_STATUS) fail("SET of a value", context, reply);
  freeReplyObject(reply);
  reply = redisCommand(context, "GET %s", "hiredis:value");
  if (reply == NULL || (size_t)reply->len != size || memcmp(reply->str, value, size) != 0) fail("GET of a value", context, reply);
  freeReplyObject(reply);
  free(value);
}

int main(int argc, char** argv) {
  redisContext* context = argc == 2 ? redisConnect("127.0.0.1", atoi(argv[1])) : NULL;
  if (context == NULL || context->err) fail("connect", context, NULL);
  pipeline(context);
  for (size_t size = 1; size <= 16u << 20; size *= 16) value_of(context, size);
  redisFree(context);
  puts("fine");
  return 0;
}
