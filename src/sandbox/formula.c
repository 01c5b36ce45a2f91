#include "sandbox/formula.h"

struct formula_value formula_evaluate(const struct formula_run *run,
                                      const struct formula_node *node)
{
    switch (node->kind) {
    case FORMULA_LITERAL: return node->value;
    case FORMULA_FIELD: return run->inputs[node->input];
    case FORMULA_CALL: break;
    }
    return node->function->evaluate(run, node);
}

struct formula_value formula_argument(const struct formula_run *run,
                                      const struct formula_node *call, size_t index)
{
    const struct formula_node *argument = call->arguments;

    for (; argument != NULL && index > 0; index--)
        argument = argument->next;
    return argument != NULL ? formula_evaluate(run, argument) : formula_null();
}

const char *formula_text_argument(const struct formula_run *run, const struct formula_node *call,
                                  size_t index)
{
    struct formula_value value = formula_argument(run, call, index);

    return value.is_null || value.text == NULL ? "" : value.text;
}
