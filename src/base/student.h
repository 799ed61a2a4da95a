/* student.h: Student's t: how many deviations from a mean of few values the true one may
 * be. */
#ifndef FRAGSCOPE_STUDENT_H
#define FRAGSCOPE_STUDENT_H

/* The two-sided 95% point for FREEDOM degrees of freedom, 1 at least; between whole
 * numbers a straight line, which is a little above it. */
double student_t(double freedom);

#endif
