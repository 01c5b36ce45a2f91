#include "sandbox/formula_math.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_DIGITS = 15, NUMBER_BYTES = 40 };

/* Up to two numbers; false when one is null. */
static bool read_numbers(const struct formula_run *run, const struct formula_node *call,
                         double *numbers)
{
    for (size_t i = 0; i < 2 && i < call->argument_count; i++) {
        struct formula_value value = formula_argument(run, call, i);

        if (value.is_null)
            return false;
        numbers[i] = value.number;
    }
    return true;
}

/* Nearest at `digits` after the point, halves away from zero. The number is taken as it is written
 * in 15 digits, so that 1.005, whose nearest double is less, becomes 1.01. */
static double round_at(double number, double digits)
{
    double scale = pow(10, fmin(fmax(trunc(digits), -MAX_DIGITS), MAX_DIGITS));
    char text[NUMBER_BYTES];

    snprintf(text, sizeof(text), "%.15g", number * scale);
    return round(strtod(text, NULL)) / scale;
}

double formula_math_round(double number, int digits)
{
    return round_at(number, digits);
}

static double take_remainder(double number, double divisor)
{
    return divisor == 0 ? number : fmod(number, divisor);
}

static double away_from_zero(double number)
{
    return number < 0 ? floor(number) : ceil(number);
}

static double keep(double number)
{
    return number;
}

static double negate(double number)
{
    return -number;
}

static double add(double left, double right)
{
    return left + right;
}

static double subtract(double left, double right)
{
    return left - right;
}

static double multiply(double left, double right)
{
    return left * right;
}

static double divide(double left, double right)
{
    return right == 0 ? NAN : left / right;
}

static struct formula_value apply(const struct formula_run *run, const struct formula_node *call,
                                  double (*one)(double), double (*two)(double, double))
{
    double numbers[2] = {0};

    if (!read_numbers(run, call, numbers))
        return formula_null();
    return formula_number(one != NULL ? one(numbers[0]) : two(numbers[0], numbers[1]));
}

#define ONE(name, function)                                                                        \
    static struct formula_value name(const struct formula_run *run,                                \
                                     const struct formula_node *call)                              \
    {                                                                                              \
        return apply(run, call, function, NULL);                                                   \
    }
#define TWO(name, function)                                                                        \
    static struct formula_value name(const struct formula_run *run,                                \
                                     const struct formula_node *call)                              \
    {                                                                                              \
        return apply(run, call, NULL, function);                                                   \
    }

ONE(call_keep, keep)
ONE(call_negate, negate)
ONE(call_abs, fabs)
ONE(call_floor, trunc)
ONE(call_ceiling, away_from_zero)
ONE(call_mfloor, floor)
ONE(call_mceiling, ceil)
ONE(call_sqrt, sqrt)
ONE(call_exp, exp)
ONE(call_ln, log)
ONE(call_log, log10)
TWO(call_add, add)
TWO(call_subtract, subtract)
TWO(call_multiply, multiply)
TWO(call_divide, divide)
TWO(call_power, pow)
TWO(call_mod, take_remainder)
TWO(call_round, round_at)

/* The least or the greatest of what is not null. */
static struct formula_value choose(const struct formula_run *run, const struct formula_node *call,
                                   double sign)
{
    struct formula_value best = formula_null();

    for (const struct formula_node *each = call->arguments; each != NULL; each = each->next) {
        struct formula_value value = formula_evaluate(run, each);

        if (!value.is_null && (best.is_null || value.number * sign > best.number * sign))
            best = value;
    }
    return best;
}

static struct formula_value call_min(const struct formula_run *run, const struct formula_node *call)
{
    return choose(run, call, -1);
}

static struct formula_value call_max(const struct formula_run *run, const struct formula_node *call)
{
    return choose(run, call, 1);
}

/* Salesforce's FLOOR and CEILING go towards and away from zero; MFLOOR and MCEILING are the
 * mathematical ones. */
const struct formula_function formula_math_table[] = {
    {"+", "nn", 'n', false, call_add},
    {"-", "nn", 'n', false, call_subtract},
    {"*", "nn", 'n', false, call_multiply},
    {"/", "nn", 'n', false, call_divide},
    {"^", "nn", 'n', false, call_power},
    {"+", "n", 'n', false, call_keep},
    {"-", "n", 'n', false, call_negate},
    {"ABS", "n", 'n', false, call_abs},
    {"CEILING", "n", 'n', false, call_ceiling},
    {"EXP", "n", 'n', false, call_exp},
    {"FLOOR", "n", 'n', false, call_floor},
    {"LN", "n", 'n', false, call_ln},
    {"LOG", "n", 'n', false, call_log},
    {"MAX", "n*", 'n', false, call_max},
    {"MCEILING", "n", 'n', false, call_mceiling},
    {"MFLOOR", "n", 'n', false, call_mfloor},
    {"MIN", "n*", 'n', false, call_min},
    {"MOD", "nn", 'n', false, call_mod},
    {"ROUND", "nn", 'n', false, call_round},
    {"SQRT", "n", 'n', false, call_sqrt},
    {.name = NULL},
};
