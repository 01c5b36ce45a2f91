#include "sandbox/formula_logic.h"

#include <string.h>

static bool is_true(const struct formula_run *run, const struct formula_node *node)
{
    struct formula_value value = formula_evaluate(run, node);

    return !value.is_null && value.number != 0;
}

static struct formula_value call_and(const struct formula_run *run, const struct formula_node *call)
{
    for (const struct formula_node *each = call->arguments; each != NULL; each = each->next)
        if (!is_true(run, each))
            return formula_boolean(false);
    return formula_boolean(true);
}

static struct formula_value call_or(const struct formula_run *run, const struct formula_node *call)
{
    for (const struct formula_node *each = call->arguments; each != NULL; each = each->next)
        if (is_true(run, each))
            return formula_boolean(true);
    return formula_boolean(false);
}

static struct formula_value call_not(const struct formula_run *run, const struct formula_node *call)
{
    return formula_boolean(!is_true(run, call->arguments));
}

static struct formula_value call_if(const struct formula_run *run, const struct formula_node *call)
{
    return formula_argument(run, call, is_true(run, call->arguments) ? 1 : 2);
}

/* Text by its bytes: formulas tell cases apart. A blank equals a blank. */
static bool is_equal(const struct formula_value *left, const struct formula_value *right)
{
    if (formula_is_blank(left) || formula_is_blank(right))
        return formula_is_blank(left) && formula_is_blank(right);
    if (left->text != NULL && right->text != NULL)
        return strcmp(left->text, right->text) == 0;
    return left->number == right->number;
}

/* CASE(expression, value, result, ..., otherwise) */
static struct formula_value call_case(const struct formula_run *run,
                                      const struct formula_node *call)
{
    struct formula_value expression = formula_evaluate(run, call->arguments);
    const struct formula_node *each = call->arguments->next;

    for (; each->next != NULL; each = each->next->next) {
        struct formula_value value = formula_evaluate(run, each);

        if (is_equal(&expression, &value))
            return formula_evaluate(run, each->next);
    }
    return formula_evaluate(run, each);
}

/* ---- comparing ---- */

static bool compare_equal(const struct formula_run *run, const struct formula_node *call)
{
    struct formula_value left = formula_argument(run, call, 0);
    struct formula_value right = formula_argument(run, call, 1);

    return is_equal(&left, &right);
}

static struct formula_value call_equal(const struct formula_run *run,
                                       const struct formula_node *call)
{
    return formula_boolean(compare_equal(run, call));
}

static struct formula_value call_unequal(const struct formula_run *run,
                                         const struct formula_node *call)
{
    return formula_boolean(!compare_equal(run, call));
}

/* -1, 0 or 1; 2 when one is null, and then no comparison holds. */
static int compare(const struct formula_run *run, const struct formula_node *call)
{
    struct formula_value left = formula_argument(run, call, 0);
    struct formula_value right = formula_argument(run, call, 1);

    if (left.is_null || right.is_null)
        return 2;
    if (left.text != NULL && right.text != NULL) {
        int order = strcmp(left.text, right.text);
        return (order > 0) - (order < 0);
    }
    return (left.number > right.number) - (left.number < right.number);
}

static struct formula_value call_less(const struct formula_run *run,
                                      const struct formula_node *call)
{
    return formula_boolean(compare(run, call) == -1);
}

static struct formula_value call_at_most(const struct formula_run *run,
                                         const struct formula_node *call)
{
    return formula_boolean(compare(run, call) <= 0);
}

static struct formula_value call_greater(const struct formula_run *run,
                                         const struct formula_node *call)
{
    return formula_boolean(compare(run, call) == 1);
}

static struct formula_value call_at_least(const struct formula_run *run,
                                          const struct formula_node *call)
{
    int order = compare(run, call);

    return formula_boolean(order == 0 || order == 1);
}

/* ---- blanks ---- */

static struct formula_value call_is_blank(const struct formula_run *run,
                                          const struct formula_node *call)
{
    struct formula_value value = formula_argument(run, call, 0);

    return formula_boolean(formula_is_blank(&value));
}

static struct formula_value call_blank_value(const struct formula_run *run,
                                             const struct formula_node *call)
{
    struct formula_value value = formula_argument(run, call, 0);

    return formula_is_blank(&value) ? formula_argument(run, call, 1) : value;
}

/* ---- before and now ---- */

/* The check gave ISNEW the input that tells, PRIORVALUE the field's former value, and ISCHANGED
 * both as its arguments. */
static struct formula_value call_is_new(const struct formula_run *run,
                                        const struct formula_node *call)
{
    return formula_argument(run, call, 0);
}

static struct formula_value call_prior(const struct formula_run *run,
                                       const struct formula_node *call)
{
    return formula_argument(run, call, 0);
}

#define COMPARISONS(sign, function)                                                                \
    {sign, "nn", 'b', false, function}, {sign, "tt", 'b', false, function},                        \
        {sign, "dd", 'b', false, function},                                                        \
    {                                                                                              \
        sign, "mm", 'b', false, function                                                           \
    }

const struct formula_function formula_logic_table[] = {
    COMPARISONS("=", call_equal),
    COMPARISONS("<>", call_unequal),
    {"=", "bb", 'b', false, call_equal},
    {"<>", "bb", 'b', false, call_unequal},
    COMPARISONS("<", call_less),
    COMPARISONS("<=", call_at_most),
    COMPARISONS(">", call_greater),
    COMPARISONS(">=", call_at_least),
    {"!", "b", 'b', false, call_not},
    {"AND", "b*", 'b', false, call_and},
    {"BLANKVALUE", "ss", 's', false, call_blank_value},
    {"CASE", "c", 's', false, call_case},
    {"IF", "bss", 's', false, call_if},
    {"ISBLANK", "v", 'b', false, call_is_blank},
    {"ISCHANGED", "f", 'b', true, call_unequal},
    {"ISNEW", "", 'b', true, call_is_new},
    {"ISNULL", "v", 'b', false, call_is_blank},
    {"NOT", "b", 'b', false, call_not},
    {"NULLVALUE", "ss", 's', false, call_blank_value},
    {"OR", "b*", 'b', false, call_or},
    {"PRIORVALUE", "f", 's', true, call_prior},
    {.name = NULL},
};
