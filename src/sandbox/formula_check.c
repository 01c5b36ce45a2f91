#include "sandbox/formula_check.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "sandbox/formula_functions.h"
#include "sandbox/formula_parse.h"

enum { MESSAGE_BYTES = 1000 };

struct check {
    struct arena *arena;
    const struct formula_source *source;
    struct formula *formula;
    struct error *err;
};

/* By enum formula_type: its letter in the tables, and its name in messages. */
static const char letters[] = " tnbdmp";
static const char *const type_names[] = {"null", "text",     "number",  "checkbox",
                                         "date", "datetime", "picklist"};

static enum formula_type letter_type(char letter)
{
    const char *found = strchr(letters, letter);

    return found != NULL ? (enum formula_type)(found - letters) : FORMULA_NULL;
}

static bool refuse(const struct check *check, const struct formula_node *node, const char *problem)
{
    error_set(check->err, ERROR_CONFIG, "%s", problem);
    return formula_parse_locate(check->err, check->source->text, node->position);
}

enum formula_type formula_check_type(const struct field *field)
{
    if (strcmp(field->type->name, "picklist") == 0 ||
        strcmp(field->type->name, "multipicklist") == 0)
        return FORMULA_PICKLIST;
    if (strcmp(field->type->name, "base64") == 0)
        return FORMULA_NULL;
    switch (field->type->kind) {
    case KIND_TEXT:
    case KIND_ID: return FORMULA_TEXT;
    case KIND_BOOLEAN: return FORMULA_BOOLEAN;
    case KIND_INTEGER:
    case KIND_REAL: return FORMULA_NUMBER;
    case KIND_DATE: return FORMULA_DATE;
    case KIND_DATETIME: return FORMULA_DATETIME;
    default: return FORMULA_NULL;
    }
}

/* ---- fields ---- */

static bool refuse_name(const struct check *check, const struct formula_node *node,
                        const char *name, const struct object *object)
{
    return refuse(check, node,
                  arena_printf(check->arena,
                               "%s: %s has no %s; fields and relationships are named as in its "
                               "describe, those of your own with __c and __r",
                               node->name, object->name, name));
}

/* One step of a path: "Owner", or "Owner:User" where it may lead to several objects. */
static bool follow_step(const struct check *check, const struct formula_node *node,
                        struct formula_input *input, const char *step)
{
    size_t length = strcspn(step, ":");
    const char *name = arena_strndup(check->arena, step, length);
    const struct object *object =
        input->path_count > 0 ? input->objects[input->path_count - 1] : check->source->object;
    const struct field *reference = schema_relationship(object, name);

    if (reference == NULL || reference->reference_count == 0)
        return refuse_name(check, node, name, object);
    if (input->path_count == FORMULA_MAX_PATH)
        return refuse(check, node,
                      "a path leads through at most 10 parents; use a formula field half-way");
    if (step[length] == '\0' && reference->reference_count > 1)
        return refuse(check, node,
                      arena_printf(check->arena, "%s leads to several objects; name one: %s:%s",
                                   name, name, reference->reference_to[0]));
    const char *target = step[length] == ':' ? step + length + 1 : reference->reference_to[0];
    object = schema_find(check->source->schema, target);
    if (object == NULL || !schema_field_refers_to(reference, object))
        return refuse(check, node,
                      arena_printf(check->arena, "%s does not lead to an object %s", name, target));
    input->path[input->path_count] = reference;
    input->objects[input->path_count++] = object;
    return true;
}

/* $User is the one of the global variables that is known. */
static bool begin_of_user(const struct check *check, const struct formula_node *node,
                          struct formula_input *input)
{
    const struct object *user = schema_find(check->source->schema, "User");

    if (strncasecmp(node->name, "$User.", 6) != 0 || user == NULL)
        return refuse(check, node,
                      arena_printf(check->arena,
                                   "%s is not known; of the global variables there is $User",
                                   node->name));
    input->is_of_user = true;
    input->objects[0] = user;
    input->path_count = 1;
    return true;
}

static bool resolve(const struct check *check, const struct formula_node *node,
                    struct formula_input *input)
{
    const char *step = node->name;

    if (*step == '$') {
        if (!begin_of_user(check, node, input))
            return false;
        step = strchr(step, '.') + 1;
    }
    for (const char *dot = strchr(step, '.'); dot != NULL; dot = strchr(step, '.')) {
        if (!follow_step(check, node, input,
                         arena_strndup(check->arena, step, (size_t)(dot - step))))
            return false;
        step = dot + 1;
    }
    const struct object *object =
        input->path_count > 0 ? input->objects[input->path_count - 1] : check->source->object;
    input->field = schema_field(object, step);
    if (input->field == NULL)
        return refuse_name(check, node, step, object);
    if (formula_check_type(input->field) == FORMULA_NULL)
        return refuse(check, node,
                      arena_printf(check->arena, "%s: formulas do not read fields of type %s",
                                   node->name, input->field->type->name));
    return true;
}

static bool is_same_input(const struct formula_input *one, const struct formula_input *other)
{
    if (one->kind != other->kind || one->field != other->field ||
        one->is_of_user != other->is_of_user || one->path_count != other->path_count)
        return false;
    return memcmp(one->path, other->path, sizeof(one->path)) == 0 &&
           memcmp(one->objects, other->objects, sizeof(one->objects)) == 0;
}

static bool add_input(const struct check *check, struct formula_node *node,
                      const struct formula_input *input)
{
    struct formula *formula = check->formula;
    size_t i = 0;

    while (i < formula->input_count && !is_same_input(&formula->inputs[i], input))
        i++;
    if (i == FORMULA_MAX_INPUTS)
        return refuse(check, node,
                      "more than 100 different fields; move a part to a formula field of its own");
    formula->inputs[i] = *input;
    if (i == formula->input_count)
        formula->input_count++;
    node->kind = FORMULA_FIELD;
    node->input = i;
    node->type = input->field != NULL ? formula_check_type(input->field) : FORMULA_BOOLEAN;
    return true;
}

static bool check_field(const struct check *check, struct formula_node *node)
{
    struct formula_input input = {0};

    return resolve(check, node, &input) && add_input(check, node, &input);
}

/* ---- what the record was ---- */

static bool is_own_field(const struct formula_node *node)
{
    return node != NULL && node->kind == FORMULA_FIELD && strpbrk(node->name, ".$") == NULL;
}

/* ISCHANGED(x) and PRIORVALUE(x): the former value becomes an input beside the present one. */
static bool check_prior(const struct check *check, struct formula_node *call)
{
    struct formula_node *field = call->arguments;
    struct formula_node *prior = arena_alloc(check->arena, sizeof(*prior));
    bool is_changed = strcasecmp(call->name, "ISCHANGED") == 0;

    if (call->argument_count != 1 || !is_own_field(field))
        return refuse(
            check, call,
            arena_printf(check->arena, "%s takes one field of the record itself", call->name));
    if (!check_field(check, field))
        return false;
    struct formula_input input = check->formula->inputs[field->input];
    if (input.field->formula != NULL)
        return refuse(check, field,
                      arena_printf(check->arena, "%s does not take a formula field", call->name));
    input.kind = FORMULA_PRIOR;
    *prior = *field;
    if (!add_input(check, prior, &input))
        return false;
    call->type = is_changed ? FORMULA_BOOLEAN : field->type;
    if (is_changed)
        field->next = prior;
    else
        call->arguments = prior;
    return true;
}

static bool check_is_new(const struct check *check, struct formula_node *call)
{
    struct formula_input input = {.kind = FORMULA_IS_NEW};

    if (call->argument_count != 0)
        return refuse(check, call, "ISNEW takes nothing; write ISNEW()");
    call->arguments = arena_alloc(check->arena, sizeof(*call->arguments));
    call->type = FORMULA_BOOLEAN;
    return add_input(check, call->arguments, &input);
}

/* ---- functions ---- */

/* Makes two types one: false when they differ. Null is of any type. */
static bool unify(enum formula_type *common, enum formula_type type)
{
    if (*common == FORMULA_NULL)
        *common = type;
    return type == FORMULA_NULL || type == *common;
}

/* CASE(expression, value, result, ..., otherwise): values like the expression, results alike. */
static bool check_case(const struct check *check, struct formula_node *call)
{
    const struct formula_node *each = call->arguments;
    enum formula_type key = each != NULL ? each->type : FORMULA_NULL;
    enum formula_type result = FORMULA_NULL;
    bool fits = true;

    if (call->argument_count < 4 || call->argument_count % 2 != 0)
        return refuse(check, call,
                      "CASE takes an expression, pairs of a value and a result, and what is "
                      "otherwise the result");
    if (key == FORMULA_PICKLIST)
        key = FORMULA_TEXT;
    for (each = each->next; each->next != NULL; each = each->next->next)
        fits = fits && unify(&key, each->type) && unify(&result, each->next->type);
    if (!fits || !unify(&result, each->type) || result == FORMULA_PICKLIST ||
        key == FORMULA_BOOLEAN)
        return refuse(check, call,
                      "CASE takes values of the expression's type, which is not a checkbox, and "
                      "results of one type; TEXT() makes a picklist a text");
    call->type = result;
    return true;
}

/* Whether the row takes the call's arguments; *result: what it makes of them. */
static bool fits(const struct formula_function *function, const struct formula_node *call,
                 enum formula_type *result)
{
    const char *letter = function->arguments;
    const struct formula_node *each = call->arguments;
    enum formula_type common = FORMULA_NULL;
    bool is_optional = false;

    for (; each != NULL; each = each->next) {
        if (*letter == '?') {
            is_optional = true;
            letter++;
        }
        bool is_fitting = *letter == 'v' || (*letter == 's' && unify(&common, each->type) &&
                                             each->type != FORMULA_PICKLIST);
        if (*letter != 'v' && *letter != 's' && *letter != '\0')
            is_fitting = each->type == FORMULA_NULL || each->type == letter_type(*letter);
        if (!is_fitting)
            return false;
        if (letter[1] != '*')
            letter++;
    }
    *result = function->result == 's' ? common : letter_type(function->result);
    return *letter == '\0' || *letter == '?' || is_optional ||
           (letter[1] == '*' && call->arguments != NULL);
}

static void list_types(const struct formula_function *function, struct buf *out)
{
    const char *separator = "";

    buf_char(out, '(');
    for (const char *letter = function->arguments; *letter != '\0'; letter++) {
        if (*letter == '?' || *letter == '*') {
            buf_text(out, *letter == '?' ? " [" : ", ...");
            continue;
        }
        const char *name = *letter == 'v'   ? "any"
                           : *letter == 's' ? "any, of one type"
                                            : type_names[letter_type(*letter)];
        buf_printf(out, "%s%s", separator, name);
        separator = ", ";
    }
    buf_text(out, strchr(function->arguments, '?') != NULL ? "])" : ")");
}

static bool refuse_arguments(const struct check *check, const struct formula_node *call)
{
    struct buf out BUF_AUTO = {0};
    const char *separator = "";
    bool has_picklist = false;

    buf_init(&out, MESSAGE_BYTES);
    buf_printf(&out, "%s does not take (", call->name);
    for (const struct formula_node *each = call->arguments; each != NULL; each = each->next) {
        buf_printf(&out, "%s%s", separator, type_names[each->type]);
        separator = ", ";
        has_picklist = has_picklist || each->type == FORMULA_PICKLIST;
    }
    buf_text(&out, "); it takes ");
    separator = "";
    for (const struct formula_function *each = formula_functions_next(call->name, NULL);
         each != NULL; each = formula_functions_next(call->name, each)) {
        buf_text(&out, separator);
        list_types(each, &out);
        separator = " or ";
    }
    if (has_picklist)
        buf_text(&out, "; TEXT() makes a picklist a text, ISPICKVAL() compares one");
    return refuse(check, call, out.data);
}

static bool check_arguments(const struct check *check, struct formula_node *call)
{
    for (const struct formula_function *each = formula_functions_next(call->name, NULL);
         each != NULL; each = formula_functions_next(call->name, each)) {
        if (!fits(each, call, &call->type))
            continue;
        call->function = each;
        return true;
    }
    return refuse_arguments(check, call);
}

static bool check_node(const struct check *check, struct formula_node *node)
{
    if (node->kind == FORMULA_LITERAL)
        return true;
    if (node->kind == FORMULA_FIELD)
        return check_field(check, node);
    node->function = formula_functions_next(node->name, NULL);
    if (node->function == NULL)
        return refuse(check, node,
                      arena_printf(check->arena,
                                   "the function %s is not known here; docs/sandbox.md lists those "
                                   "that are",
                                   node->name));
    if (node->function->is_of_rules && !check->source->is_rule)
        return refuse(check, node,
                      arena_printf(check->arena,
                                   "%s is for validation rules only; a field has no past",
                                   node->name));
    if (*node->function->arguments == 'f')
        return check_prior(check, node);
    if (node->function->is_of_rules)
        return check_is_new(check, node);
    for (struct formula_node *each = node->arguments; each != NULL; each = each->next)
        if (!check_node(check, each))
            return false;
    return *node->function->arguments == 'c' ? check_case(check, node)
                                             : check_arguments(check, node);
}

/* ---- the whole ---- */

static bool check_result(const struct check *check, const struct formula_node *root)
{
    const struct field *field = check->source->field;
    enum formula_type wanted = field != NULL ? formula_check_type(field) : FORMULA_BOOLEAN;

    if (wanted == FORMULA_NULL || wanted == FORMULA_PICKLIST ||
        (field != NULL && field->type->kind == KIND_ID))
        return refuse(check, root,
                      arena_printf(check->arena,
                                   "a formula field is not of type %s; it is string, "
                                   "double, int, currency, percent, boolean, date or "
                                   "datetime",
                                   field != NULL ? field->type->name : ""));
    if (root->type == FORMULA_NULL || root->type == wanted)
        return true;
    return refuse(check, root,
                  arena_printf(check->arena, "it gives a %s where a %s is wanted%s",
                               type_names[root->type], type_names[wanted],
                               root->type == FORMULA_PICKLIST ? "; use TEXT()" : ""));
}

struct formula *formula_check(struct arena *arena, const struct formula_source *source,
                              struct error *err)
{
    struct formula *formula = arena_alloc(arena, sizeof(*formula));
    struct check check = {.arena = arena, .source = source, .formula = formula, .err = err};

    formula->object = source->object;
    formula->field = source->field;
    formula->blanks_are_zero = source->blanks_are_zero;
    formula->root = formula_parse(arena, source->text, err);
    if (formula->root == NULL || !check_node(&check, formula->root) ||
        !check_result(&check, formula->root))
        return NULL;
    return formula;
}
