/* A module with commands that no table knows, so that the proxy has to learn them from the server: TOY.SET key value,
   TOY.GET key, TOY.MSET key value [key value ...], TOY.WHO, TOY.BOX PUT key value; loaded with an argument, as if it were
   a newer version, also TOY.BOX TAKE key. Needs no header of the server: it asks for each function by its name, as the
   module interface wants it. */
#include <stddef.h>

typedef struct Context Context;
typedef struct String String;
typedef struct Reply Reply;
typedef struct Container Container;
typedef int Command(Context* context, String** arguments, int count);

static Reply* (*call)(Context* context, const char* name, const char* format, ...);
static int (*reply_with)(Context* context, Reply* reply);
static int (*wrong_arity)(Context* context);
static int (*create)(Context* context, const char* name, Command* command, const char* flags, int first, int last, int step);
static Container* (*get_command)(Context* context, const char* name);
static int (*create_subcommand)(Container* parent, const char* name, Command* command, const char* flags, int first, int last,
                                int step);
static void (*set_attributes)(Context* context, const char* name, int version, int interface);

static int toy_set(Context* context, String** arguments, int count) {
  return count == 3 ? reply_with(context, call(context, "SET", "ss", arguments[1], arguments[2])) : wrong_arity(context);
}

static int toy_get(Context* context, String** arguments, int count) {
  return count == 2 ? reply_with(context, call(context, "GET", "s", arguments[1])) : wrong_arity(context);
}

static int toy_mset(Context* context, String** arguments, int count) {
  return count >= 3 ? reply_with(context, call(context, "MSET", "v", arguments + 1, (size_t)count - 1)) : wrong_arity(context);
}

static int toy_who(Context* context, String** arguments, int count) {
  (void)arguments;
  return count == 1 ? reply_with(context, call(context, "CONFIG", "cc", "GET", "port")) : wrong_arity(context);
}

static int box_put(Context* context, String** arguments, int count) {
  return count == 4 ? reply_with(context, call(context, "SET", "ss", arguments[2], arguments[3])) : wrong_arity(context);
}

static int box_take(Context* context, String** arguments, int count) {
  return count == 3 ? reply_with(context, call(context, "GETDEL", "s", arguments[2])) : wrong_arity(context);
}

int RedisModule_OnLoad(Context* context, String** arguments, int count) {
  int (*look_up)(const char* name, void* function) = (int (*)(const char*, void*))((void**)context)[0];
  (void)arguments;
  if (look_up("RedisModule_Call", &call) != 0 || look_up("RedisModule_ReplyWithCallReply", &reply_with) != 0 ||
      look_up("RedisModule_WrongArity", &wrong_arity) != 0 || look_up("RedisModule_CreateCommand", &create) != 0 ||
      look_up("RedisModule_GetCommand", &get_command) != 0 ||
      look_up("RedisModule_CreateSubcommand", &create_subcommand) != 0 ||
      look_up("RedisModule_SetModuleAttribs", &set_attributes) != 0) {
    return 1;
  }
  set_attributes(context, "toy", 1, 1);
  if (create(context, "toy.set", toy_set, "write deny-oom", 1, 1, 1) != 0) return 1;
  if (create(context, "toy.get", toy_get, "readonly fast", 1, 1, 1) != 0) return 1;
  if (create(context, "toy.mset", toy_mset, "write deny-oom", 1, -1, 2) != 0) return 1;
  if (create(context, "toy.box", NULL, "", 0, 0, 0) != 0) return 1;
  Container* box = get_command(context, "toy.box");
  if (create_subcommand(box, "put", box_put, "write deny-oom", 2, 2, 1) != 0) return 1;
  if (count > 0 && create_subcommand(box, "take", box_take, "write", 2, 2, 1) != 0) return 1;
  return create(context, "toy.who", toy_who, "readonly", 0, 0, 0);
}
