#include "sandbox/formula_functions.h"

#include <strings.h>

#include "sandbox/formula_days.h"
#include "sandbox/formula_logic.h"
#include "sandbox/formula_math.h"
#include "sandbox/formula_text.h"

const struct formula_function *formula_functions_next(const char *name,
                                                      const struct formula_function *last)
{
    static const struct formula_function *const tables[] = {formula_logic_table, formula_math_table,
                                                            formula_text_table, formula_days_table};
    bool is_behind = last == NULL;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct formula_function *each = tables[i]; each->name != NULL; each++) {
            if (is_behind && strcasecmp(each->name, name) == 0)
                return each;
            is_behind = is_behind || each == last;
        }
    return NULL;
}
