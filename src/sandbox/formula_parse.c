#include "sandbox/formula_parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum token { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_STRING, TOKEN_SIGN };

struct parser {
    struct arena *arena;
    const char *text;
    struct error *err;
    enum token token;
    size_t start; /* of the token */
    size_t end;
    int depth;
};

bool formula_parse_locate(struct error *err, const char *text, size_t position)
{
    size_t line = 1;
    size_t column = 1;

    for (size_t i = 0; i < position && text[i] != '\0'; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return error_prefix(err, "formula, line %zu, character %zu", line, column);
}

static struct formula_node *refuse_token(struct parser *parser, const char *expected)
{
    int length = (int)(parser->end - parser->start);

    if (parser->token == TOKEN_END)
        error_set(parser->err, ERROR_CONFIG, "it ends where %s is expected", expected);
    else
        error_set(parser->err, ERROR_CONFIG, "\"%.*s\" stands where %s is expected",
                  length < 40 ? length : 40, parser->text + parser->start, expected);
    formula_parse_locate(parser->err, parser->text, parser->start);
    return NULL;
}

/* ---- tokens ---- */

static bool refuse_at(struct parser *parser, size_t position, const char *problem)
{
    error_set(parser->err, ERROR_CONFIG, "%s", problem);
    return formula_parse_locate(parser->err, parser->text, position);
}

static bool skip_blanks(struct parser *parser)
{
    for (;;) {
        const char *text = parser->text + parser->end;

        if (isspace((unsigned char)*text)) {
            parser->end++;
        } else if (strncmp(text, "/*", 2) == 0) {
            const char *close = strstr(text + 2, "*/");

            if (close == NULL)
                return refuse_at(parser, parser->end, "this comment has no end; add */");
            parser->end = (size_t)(close + 2 - parser->text);
        } else {
            return true;
        }
    }
}

static bool take_string(struct parser *parser)
{
    const char *text = parser->text;
    char quote = text[parser->start];
    size_t i = parser->start + 1;

    for (; text[i] != '\0' && text[i] != quote; i++)
        if (text[i] == '\\' && text[i + 1] != '\0')
            i++;
    if (text[i] == '\0')
        return refuse_at(parser, parser->start, "this text has no end; add the closing quote");
    parser->token = TOKEN_STRING;
    parser->end = i + 1;
    return true;
}

/* Account.Owner.Name, $User.Id, Owner:User.Name */
static size_t span_name(const char *text)
{
    size_t length = 0;

    while (isalnum((unsigned char)text[length]) || text[length] == '_' || text[length] == '$' ||
           ((text[length] == '.' || text[length] == ':') &&
            (isalpha((unsigned char)text[length + 1]) || text[length + 1] == '_')))
        length++;
    return length;
}

static size_t span_sign(const char *text)
{
    static const char *const doubles[] = {"==", "<>", "!=", "<=", ">=", "&&", "||"};

    for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++)
        if (strncmp(text, doubles[i], 2) == 0)
            return 2;
    return 1;
}

static bool advance(struct parser *parser)
{
    if (!skip_blanks(parser))
        return false;
    const char *text = parser->text + parser->end;
    parser->start = parser->end;
    if (*text == '"' || *text == '\'')
        return take_string(parser);
    if (*text == '\0') {
        parser->token = TOKEN_END;
    } else if (isdigit((unsigned char)*text) || (*text == '.' && isdigit((unsigned char)text[1]))) {
        parser->token = TOKEN_NUMBER;
        parser->end += strspn(text, "0123456789");
        if (parser->text[parser->end] == '.')
            parser->end += 1 + strspn(parser->text + parser->end + 1, "0123456789");
    } else if (isalpha((unsigned char)*text) || *text == '$' || *text == '_') {
        parser->token = TOKEN_NAME;
        parser->end += span_name(text);
    } else {
        parser->token = TOKEN_SIGN;
        parser->end += span_sign(text);
    }
    return true;
}

static bool is_sign(const struct parser *parser, const char *sign)
{
    return parser->token == TOKEN_SIGN && parser->end - parser->start == strlen(sign) &&
           strncmp(parser->text + parser->start, sign, strlen(sign)) == 0;
}

static bool expect_sign(struct parser *parser, const char *sign, const char *expected)
{
    if (!is_sign(parser, sign))
        return refuse_token(parser, expected) != NULL;
    return advance(parser);
}

/* ---- the tree ---- */

static struct formula_node *parse_level(struct parser *parser, int level);

static struct formula_node *new_node(struct parser *parser, enum formula_kind kind)
{
    struct formula_node *node = arena_alloc(parser->arena, sizeof(*node));

    *node = (struct formula_node){.kind = kind, .position = parser->start};
    return node;
}

static const char *token_text(const struct parser *parser)
{
    return arena_strndup(parser->arena, parser->text + parser->start, parser->end - parser->start);
}

static struct formula_node *literal(struct parser *parser, enum formula_type type,
                                    struct formula_value value)
{
    struct formula_node *node = new_node(parser, FORMULA_LITERAL);

    node->type = type;
    node->value = value;
    return advance(parser) ? node : NULL;
}

static struct formula_node *parse_string(struct parser *parser)
{
    char *out = arena_alloc(parser->arena, parser->end - parser->start + 1);
    size_t used = 0;

    for (size_t i = parser->start + 1; i + 1 < parser->end; i++) {
        char character = parser->text[i];

        if (character == '\\') {
            character = parser->text[++i];
            if (character == 'n' || character == 't' || character == 'r')
                character = character == 'n' ? '\n' : character == 't' ? '\t' : '\r';
        }
        out[used++] = character;
    }
    return literal(parser, FORMULA_TEXT, formula_text(out));
}

static struct formula_node *parse_arguments(struct parser *parser, struct formula_node *call)
{
    struct formula_node **end = &call->arguments;

    while (!is_sign(parser, ")")) {
        if (call->argument_count > 0 && !expect_sign(parser, ",", "a comma or )"))
            return NULL;
        *end = parse_level(parser, 0);
        if (*end == NULL)
            return NULL;
        end = &(*end)->next;
        call->argument_count++;
    }
    return advance(parser) ? call : NULL;
}

static struct formula_node *parse_name(struct parser *parser)
{
    struct formula_node *node = new_node(parser, FORMULA_FIELD);

    node->name = token_text(parser);
    if (strcasecmp(node->name, "true") == 0 || strcasecmp(node->name, "false") == 0)
        return literal(parser, FORMULA_BOOLEAN,
                       formula_boolean(strcasecmp(node->name, "true") == 0));
    if (strcasecmp(node->name, "null") == 0)
        return literal(parser, FORMULA_NULL, formula_null());
    if (!advance(parser))
        return NULL;
    if (!is_sign(parser, "("))
        return node;
    node->kind = FORMULA_CALL;
    return advance(parser) ? parse_arguments(parser, node) : NULL;
}

static struct formula_node *parse_primary(struct parser *parser)
{
    switch (parser->token) {
    case TOKEN_NAME: return parse_name(parser);
    case TOKEN_STRING: return parse_string(parser);
    case TOKEN_NUMBER:
        return literal(parser, FORMULA_NUMBER, formula_number(strtod(token_text(parser), NULL)));
    default: break;
    }
    if (!is_sign(parser, "("))
        return refuse_token(parser, "a field, a value, a function or (");
    if (!advance(parser))
        return NULL;
    struct formula_node *inner = parse_level(parser, 0);
    return inner != NULL && expect_sign(parser, ")", "an operator or )") ? inner : NULL;
}

static struct formula_node *parse_unary(struct parser *parser)
{
    static const char *const signs[] = {"-", "+", "!"};
    struct formula_node *call = new_node(parser, FORMULA_CALL);

    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (!is_sign(parser, signs[i]))
            continue;
        call->name = signs[i];
        call->argument_count = 1;
        if (++parser->depth > FORMULA_MAX_DEPTH) {
            refuse_at(parser, parser->start, "too many signs in a row; take some out");
            return NULL;
        }
        call->arguments = advance(parser) ? parse_unary(parser) : NULL;
        parser->depth--;
        return call->arguments != NULL ? call : NULL;
    }
    return parse_primary(parser);
}

/* Operators by how tightly they bind, the loosest first; = and == are one, so are <> and !=. */
static const struct {
    const char *sign;
    const char *name;
    int level;
} operators[] = {
    {"||", "OR", 0}, {"&&", "AND", 1}, {"=", "=", 2}, {"==", "=", 2},
    {"<>", "<>", 2}, {"!=", "<>", 2},  {"<", "<", 3}, {"<=", "<=", 3},
    {">", ">", 3},   {">=", ">=", 3},  {"+", "+", 4}, {"-", "-", 4},
    {"&", "&", 4},   {"*", "*", 5},    {"/", "/", 5}, {"^", "^", 6},
};

enum { LEVELS = 7 };

static const char *find_operator(const struct parser *parser, int level)
{
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (operators[i].level == level && is_sign(parser, operators[i].sign))
            return operators[i].name;
    return NULL;
}

/* Left to right, as Salesforce does, ^ too. */
static struct formula_node *parse_operators(struct parser *parser, int level)
{
    struct formula_node *left = parse_level(parser, level + 1);

    while (left != NULL) {
        const char *name = find_operator(parser, level);
        struct formula_node *call = new_node(parser, FORMULA_CALL);

        if (name == NULL)
            break;
        call->name = name;
        call->arguments = left;
        call->argument_count = 2;
        left->next = advance(parser) ? parse_level(parser, level + 1) : NULL;
        left = left->next != NULL ? call : NULL;
    }
    return left;
}

static struct formula_node *parse_level(struct parser *parser, int level)
{
    if (level == LEVELS)
        return parse_unary(parser);
    if (level > 0)
        return parse_operators(parser, level);
    if (++parser->depth > FORMULA_MAX_DEPTH) {
        refuse_at(parser, parser->start,
                  "nested too deeply; move a part to a formula field of its own");
        return NULL;
    }
    struct formula_node *node = parse_operators(parser, 0);
    parser->depth--;
    return node;
}

/* Salesforce counts characters, not bytes. */
static size_t count_characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

struct formula_node *formula_parse(struct arena *arena, const char *text, struct error *err)
{
    struct parser parser = {.arena = arena, .text = text, .err = err};

    if (count_characters(text) > FORMULA_MAX_CHARACTERS) {
        error_set(err, ERROR_CONFIG,
                  "the formula has more than %d characters; move a part to a formula field of its "
                  "own",
                  FORMULA_MAX_CHARACTERS);
        return NULL;
    }
    struct formula_node *root = advance(&parser) ? parse_level(&parser, 0) : NULL;
    if (root != NULL && parser.token != TOKEN_END)
        return refuse_token(&parser, "an operator or the end");
    return root;
}
